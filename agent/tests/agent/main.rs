//! Whole agents over real sockets.
#![allow(clippy::unwrap_used)] // a harness may panic

mod control_plane;
mod support;
mod tls;

mod access_log;
mod documented;
mod drain;
mod forwarded;
mod health_checks;
mod http3;
mod layer4;
mod layer4_tls;
mod lifecycle;
mod log_level;
mod pressure;
mod proxy_protocol;
mod refusals;
mod send_proxy_protocol;
mod taps;
mod traces;
