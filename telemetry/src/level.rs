//! The log of a program, whose level can be changed while it runs.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

/// Bytes of a filter.
pub const LONGEST: usize = 4096;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people, without colours.
    Plain,
    /// For people at a terminal.
    Coloured,
    /// One object of JSON.
    Json,
}

/// Why a log does not begin, or its level stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// A directive is none.
    #[error(
        "{directive:?} is no directive of a log filter ({why}); write LEVEL or TARGET=LEVEL with commas between, such as info,novaedge_proxy=debug"
    )]
    Directive {
        /// As it was given.
        directive: String,
        /// What the parser says.
        why: String,
    },
    /// There is nothing in it.
    #[error("a log filter has at least one directive, such as info")]
    Empty,
    /// It is too long.
    #[error("a log filter has at most {LONGEST} bytes")]
    Long,
    /// Another log has begun already.
    #[error("the process logs already")]
    Begun,
}

/// The level of a log that has begun.
#[derive(Clone, Debug)]
pub struct LogLevel {
    handle: reload::Handle<EnvFilter, Registry>,
    text: Arc<Mutex<String>>,
}

/// Begins to log to standard error. `filter` is as in `RUST_LOG`.
pub fn log(filter: &str, format: LogFormat) -> Result<LogLevel, LogError> {
    let (layer, level) = LogLevel::new(filter)?;
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match format {
        LogFormat::Plain => lines.with_ansi(false).boxed(),
        LogFormat::Coloured => lines.with_ansi(true).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let begun = tracing_subscriber::registry()
        .with(layer)
        .with(lines)
        .try_init();
    begun.map_err(|_| LogError::Begun)?;
    Ok(level)
}

impl LogLevel {
    /// A filter whose level can be changed.
    pub fn new(filter: &str) -> Result<(reload::Layer<EnvFilter, Registry>, Self), LogError> {
        let (layer, handle) = reload::Layer::new(parse(filter)?);
        let text = Arc::new(Mutex::new(filter.trim().to_owned()));
        Ok((layer, Self { handle, text }))
    }

    /// The directives in force.
    #[must_use]
    pub fn get(&self) -> String {
        self.text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Puts other directives in force.
    pub fn set(&self, filter: &str) -> Result<(), LogError> {
        let parsed = parse(filter)?;
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        // It fails only where the subscriber is gone, and then nobody logs.
        let _ = self.handle.reload(parsed);
        filter.trim().clone_into(&mut text);
        drop(text);
        tracing::info!(filter = filter.trim(), "log level changed");
        Ok(())
    }
}

/// Who asks an admin endpoint for another level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Somebody on this machine, or in this pod.
    Local,
    /// A page in a browser of this machine, or somebody elsewhere.
    Other,
}

/// Answers `/loglevel` of an admin endpoint: `GET` tells the directives in force, `PUT` puts others in force. Returns the
/// status and the text.
#[must_use]
pub fn respond(level: Option<&LogLevel>, asker: Asker, method: &str, body: &[u8]) -> (u16, String) {
    let Some(level) = level else {
        return (404, "the level of this log can't be changed\n".into());
    };
    match (method, asker) {
        ("GET" | "HEAD", _) => (200, format!("{}\n", level.get())),
        ("PUT", Asker::Other) => (403, "only by this machine itself\n".into()),
        ("PUT", Asker::Local) => {
            let set = std::str::from_utf8(body).map(|filter| level.set(filter));
            match set {
                Ok(Ok(())) => (200, format!("{}\n", level.get())),
                Ok(Err(error)) => (400, format!("{error}\n")),
                Err(_) => (400, "a log filter is text\n".into()),
            }
        }
        _ => (
            405,
            "GET /loglevel, or PUT /loglevel with a filter such as info,novaedge_proxy=debug\n"
                .into(),
        ),
    }
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    if filter.len() > LONGEST {
        return Err(LogError::Long);
    }
    if filter.trim().is_empty() {
        return Err(LogError::Empty);
    }
    let whole = EnvFilter::builder().parse(filter.trim());
    whole.map_err(|error| {
        // The parser does not say which one it is.
        let mut parts = filter.split(',').map(str::trim);
        let wrong = parts.find_map(|part| Some((part, EnvFilter::builder().parse(part).err()?)));
        let (directive, why) = match wrong {
            Some((part, error)) => (part, error.to_string()),
            None => (filter, error.to_string()),
        };
        LogError::Directive {
            directive: directive.to_owned(),
            why,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing_subscriber::layer::{Context, Layer};

    use super::*;

    #[derive(Clone, Default)]
    struct Count(Arc<AtomicUsize>);

    impl<S: tracing::Subscriber> Layer<S> for Count {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            if event.metadata().target() == "counted" {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn another_level_is_in_force_at_once() {
        let (layer, level) = LogLevel::new("warn").unwrap();
        let count = Count::default();
        let subscriber = tracing_subscriber::registry()
            .with(layer)
            .with(count.clone());
        tracing::subscriber::with_default(subscriber, || {
            let told = || {
                let before = count.0.load(Ordering::Relaxed);
                tracing::debug!(target: "counted", "one");
                count.0.load(Ordering::Relaxed) - before
            };
            assert_eq!(told(), 0);
            level.set("info,counted=debug").unwrap();
            assert_eq!((told(), level.get().as_str()), (1, "info,counted=debug"));
            level.set("off").unwrap();
            assert_eq!(told(), 0);
            assert!(level.set("info,counted=loud").is_err());
            assert_eq!(level.get(), "off");
        });
    }

    #[test]
    fn the_level_is_changed_by_this_machine_alone() {
        let (_layer, level) = LogLevel::new("info").unwrap();
        let answer = |asker, method, body: &str| {
            let (status, text) = respond(Some(&level), asker, method, body.as_bytes());
            (status, text.lines().next().unwrap_or_default().to_owned())
        };
        let asked = |body: &str| (200, body.to_owned());
        assert_eq!(answer(Asker::Other, "GET", ""), asked("info"));
        assert_eq!(answer(Asker::Local, "PUT", "debug\n"), asked("debug"));
        assert_eq!(answer(Asker::Other, "PUT", "trace").0, 403);
        assert_eq!(answer(Asker::Local, "POST", "trace").0, 405);
        let (status, text) = answer(Asker::Local, "PUT", "info,a=loud");
        assert_eq!(status, 400);
        assert!(text.contains("\"a=loud\""), "{text}");
        assert_eq!(respond(Some(&level), Asker::Local, "PUT", b"\xff").0, 400);
        assert_eq!(answer(Asker::Local, "GET", ""), asked("debug"));
        assert_eq!(respond(None, Asker::Local, "GET", b"").0, 404);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (filter, expect) in [
            (
                "info,novaedge_proxy=loud",
                "\"novaedge_proxy=loud\" is no directive",
            ),
            ("=", "\"=\" is no directive"),
            ("", "at least one directive"),
            (" ", "at least one directive"),
        ] {
            let (_, level) = LogLevel::new("info").unwrap();
            let error = level.set(filter).unwrap_err().to_string();
            assert!(error.contains(expect), "{filter:?}: {error}");
        }
        let long = "a=info,".repeat(LONGEST);
        assert_eq!(LogLevel::new(&long).unwrap_err(), LogError::Long);
    }
}
