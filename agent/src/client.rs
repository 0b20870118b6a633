//! What asks a running agent of this pod to leave; images without a shell have nothing else to ask with.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long the agent may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Answers longer than this are not the agent's.
const ANSWER_BYTES: u64 = 64 * 1024;

/// Why an agent could not be asked to leave.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    /// Nobody answers there.
    #[error("no agent answers on {0}")]
    Unanswered(SocketAddr, #[source] io::Error),
    /// It does not do it.
    #[error("the agent on {0} refuses: {1}")]
    Refused(SocketAddr, String),
}

/// Asks the agent whose admin endpoint is on `admin`, a loopback address, to leave the fleet, and to
/// serve for `delay` more. Returns at once.
pub fn ask_to_leave(admin: SocketAddr, delay: Duration) -> Result<(), LeaveError> {
    let answer = post(admin, delay).map_err(|error| LeaveError::Unanswered(admin, error))?;
    let status = answer.lines().next().unwrap_or_default();
    if status.contains(" 202 ") {
        return Ok(());
    }
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let why = if body.is_empty() { status } else { body };
    Err(LeaveError::Refused(admin, why.trim().to_owned()))
}

fn post(admin: SocketAddr, delay: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;
    let seconds = delay.as_secs();
    write!(
        stream,
        "POST /drain?delay={seconds} HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}
