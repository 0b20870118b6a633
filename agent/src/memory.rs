//! Gives back what threads keep of memory for themselves.

use std::time::Duration;

use tikv_jemalloc_ctl::{Access as _, AsName as _};

const EACH: Duration = Duration::from_secs(10);

/// Empties this thread's cache of free objects again and again. Each of them holds on to a page or more of what was freed
/// around it, and a thread that has nothing to do never empties its cache by itself.
pub(crate) async fn give_back() {
    loop {
        tokio::time::sleep(EACH).await;
        let cache = b"thread.tcache.enabled\0".name();
        // Whoever has switched it off by the environment has nothing to empty.
        if cache.read() == Ok(true) {
            // It is emptied when it is switched off (jemalloc(3)).
            let _ = cache.write(false);
            let _ = cache.write(true);
        }
    }
}
