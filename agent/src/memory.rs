//! Gives back what threads keep of memory for themselves.

use std::time::Duration;

use tikv_jemalloc_ctl::{Access as _, AsName as _, Result};

const EACH: Duration = Duration::from_secs(10);

/// Empties this thread's cache of free objects again and again. Each of them holds on to a page or more of what was freed
/// around it, and a thread that has nothing to do never empties its cache by itself.
pub(crate) async fn give_back() {
    loop {
        tokio::time::sleep(EACH).await;
        if let Err(error) = empty_cache() {
            tracing::debug!(%error, "memory can't be given back");
        }
    }
}

fn empty_cache() -> Result<()> {
    let cache = b"thread.tcache.enabled\0".name();
    // Whoever has switched it off by the environment has nothing to empty.
    if cache.read()? {
        // It is emptied when it is switched off (jemalloc(3)).
        cache.write(false)?;
        cache.write(true)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_that_was_emptied_is_used_again() {
        let is_on = || b"thread.tcache.enabled\0".name().read();
        assert_eq!(is_on(), Ok(true));
        assert_eq!(empty_cache(), Ok(()));
        assert_eq!(is_on(), Ok(true));
    }
}
