//! Session persistence (experimental).

use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::words::{CookieLifetimeType, SessionPersistenceType};

/// Requests of one session go to one endpoint (experimental).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionPersistence {
    /// Name of the cookie or header (until v1.6; v1.7 names it in `cookie` or `header`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
    /// The longest life of a session; required for permanent cookies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute_timeout: Option<Duration>,
    /// The longest idleness of a session (until v1.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
    /// What names the session.
    #[serde(rename = "type", default)]
    pub type_: SessionPersistenceType,
    /// Set for Cookie; called `cookieConfig` until v1.6.
    #[serde(
        default,
        alias = "cookieConfig",
        skip_serializing_if = "Option::is_none"
    )]
    pub cookie: Option<CookieConfig>,
    /// Set for Header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderConfig>,
}

/// The cookie that names a session (experimental).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CookieConfig {
    /// Name; the implementation's choice when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Path attribute.
    #[serde(default = "slash")]
    pub path: String,
    /// How long the cookie lives.
    #[serde(default)]
    pub lifetime_type: CookieLifetimeType,
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self {
            name: None,
            path: slash(),
            lifetime_type: CookieLifetimeType::default(),
        }
    }
}

fn slash() -> String {
    "/".to_owned()
}

/// The header that names a session (experimental).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderConfig {
    /// Name; case does not matter.
    pub name: String,
}
