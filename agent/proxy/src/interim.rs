//! Informational answers on their way from a backend to a client, such as `103 Early Hints`.
//!
//! A proxy passes them on (RFC 9110 section 15.2). `100` and `101` are none of these: the gateway itself asks for request
//! bodies, and a switch of protocols is a last answer.

use std::cell::RefCell;

use http::{HeaderMap, Response, StatusCode};
use smallvec::SmallVec;

use crate::headers;

/// Answers that wait for their client; more of them are left out, as nobody depends on them.
const MOST: usize = 8;

/// Those of one request, whose client can be told of them.
#[derive(Default)]
pub(crate) struct Interims(RefCell<SmallVec<[Response<()>; 1]>>);

impl Interims {
    /// One that has come from a backend.
    pub(crate) fn push(&self, status: StatusCode, mut fields: HeaderMap) {
        let mut waiting = self.0.borrow_mut();
        if status == StatusCode::CONTINUE || waiting.len() == MOST {
            return;
        }
        headers::remove_hop_by_hop(&mut fields);
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        waiting.push(response);
    }

    /// The next one for the client.
    pub(crate) fn take(&self) -> Option<Response<()>> {
        let mut waiting = self.0.borrow_mut();
        (!waiting.is_empty()).then(|| waiting.remove(0))
    }
}
