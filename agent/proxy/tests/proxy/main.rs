//! The HTTP data path over real sockets on loopback: one worker, origins in the same process.

mod support;

mod http1;
mod tls;
