//! References to Secrets with a certificate and its key.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use novaedge_api::gateway::SecretObjectReference;
use novaedge_api::meta::{ObjectId, ObjectKey};
use novaedge_api::native::NamespacedRef;

use crate::certificate::{CertificateError, Validity, check_tls_secret};
use crate::diagnostic::Diagnostic;
use crate::grant::{Referent, Referrer, permits};
use crate::view::View;

/// Verdicts on Secrets, so that one certificate is parsed once however many listeners show it.
#[derive(Debug, Default)]
pub(crate) struct CertificateCache {
    verdicts: RefCell<BTreeMap<ObjectKey, (Arc<Secret>, Verdict)>>,
}

/// When a certificate is valid, or why it is none.
type Verdict = Result<Validity, CertificateError>;

impl CertificateCache {
    /// Judges a Secret, or recalls the verdict on this very object.
    pub(crate) fn tls_secret(&self, key: &ObjectKey, secret: &Arc<Secret>) -> Verdict {
        let mut verdicts = self.verdicts.borrow_mut();
        if let Some((judged, verdict)) = verdicts.get(key)
            && Arc::ptr_eq(judged, secret)
        {
            return verdict.clone();
        }
        let verdict = check_tls_secret(secret).map(|checked| checked.validity);
        verdicts.insert(key.clone(), (Arc::clone(secret), verdict.clone()));
        verdict
    }

    /// Drops the verdict on a Secret that changed or went.
    pub(crate) fn forget(&mut self, key: &ObjectKey) {
        self.verdicts.get_mut().remove(key);
    }
}

/// Why a reference gives no certificate.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RefFault {
    /// Whether the reference is allowed at all.
    pub(crate) permitted: Permitted,
    /// What is wrong, and the fix.
    pub(crate) message: String,
}

/// A certificate that can be shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Certificate {
    /// The Secret that holds it.
    pub(crate) secret: ObjectKey,
    validity: Validity,
}

impl Certificate {
    /// A finding when it has expired, soon will, or is not valid yet. It is served all the same: clients refuse it, and
    /// some do not.
    pub(crate) fn timing(
        &self,
        view: &View<'_>,
        holder: &ObjectId,
        field: &str,
    ) -> Option<Diagnostic> {
        let Validity {
            not_before,
            not_after,
        } = self.validity;
        let (reason, fault) = if view.is_past(not_after)? {
            let fault = "has expired; renew it in data keys tls.crt and tls.key".to_owned();
            ("CertificateExpired", fault)
        } else if view.is_past(self.validity.warn_at())? {
            let when = date(not_after);
            let fault = format!("expires on {when}; renew it in data keys tls.crt and tls.key");
            ("CertificateExpiring", fault)
        } else if !view.is_past(not_before.saturating_sub(1))? {
            let when = date(not_before);
            let fault = format!("is not valid before {when}; check its dates and the clock");
            ("CertificateNotYetValid", fault)
        } else {
            return None;
        };
        let message = format!("the certificate in Secret {} {fault}", self.secret);
        Some(Diagnostic::warning(holder.clone(), field, reason, message))
    }
}

/// Whether a reference is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permitted {
    /// Same namespace, or granted.
    Yes,
    /// Another namespace without a grant.
    No,
}

/// The Secret that `holder` refers to. Whether it may is judged before whether the Secret exists, so that nobody learns
/// names of other namespaces.
pub(crate) fn resolve(
    view: &View<'_>,
    holder: &ObjectId,
    reference: &SecretObjectReference,
) -> Result<Certificate, RefFault> {
    let invalid = |message: String| RefFault {
        permitted: Permitted::Yes,
        message,
    };
    if !reference.group.is_empty() || reference.kind != "Secret" {
        let kind = qualified(&reference.group, &reference.kind);
        return Err(invalid(format!(
            "{kind} \"{}\" cannot hold a certificate here; refer to a Secret (group \"\", kind Secret)",
            reference.name
        )));
    }
    let namespace = reference
        .namespace
        .as_deref()
        .filter(|namespace| !namespace.is_empty());
    let key = ObjectKey::new(namespace.unwrap_or(&holder.key.namespace), &reference.name);
    check_grant(view, holder, "", "Secret", &key)?;
    match view.tls_secret(&key) {
        None => Err(invalid(format!(
            "Secret {key} does not exist; create it or fix the name"
        ))),
        Some(Err(error)) => Err(invalid(format!("Secret {key}: {error}"))),
        Some(Ok(validity)) => Ok(Certificate {
            secret: key,
            validity,
        }),
    }
}

/// Whether `holder` may refer to an object, by its namespace or by a ReferenceGrant.
pub(super) fn check_grant(
    view: &View<'_>,
    holder: &ObjectId,
    group: &str,
    kind: &str,
    target: &ObjectKey,
) -> Result<(), RefFault> {
    let own = &holder.key.namespace;
    if target.namespace == *own {
        return Ok(());
    }
    let from = Referrer {
        group: holder.kind.group(),
        kind: holder.kind.as_str(),
        namespace: own,
    };
    let to = Referent {
        group,
        kind,
        name: &target.name,
    };
    if permits(&view.grants_in(&target.namespace), &from, &to) {
        return Ok(());
    }
    Err(RefFault {
        permitted: Permitted::No,
        message: format!(
            "{kind} {target} is in another namespace and no ReferenceGrant there permits it; add one in namespace {} \
             from {} in {own} to {kind} {}",
            target.namespace, holder.kind, target.name
        ),
    })
}

/// A reference as native objects in `namespace` write it.
pub(super) fn native_ref(target: &ObjectKey, namespace: &str) -> NamespacedRef {
    NamespacedRef {
        namespace: elsewhere(&target.namespace, namespace),
        name: target.name.clone(),
    }
}

/// The namespace of a target, empty when it is the holder's own.
pub(super) fn elsewhere(target: &str, holder: &str) -> String {
    if target == holder {
        String::new()
    } else {
        target.to_owned()
    }
}

/// A time in seconds since 1970, for people.
fn date(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .map_or_else(|_| format!("second {seconds}"), |time| time.to_string())
}

/// A kind with its group, for people.
pub(super) fn qualified(group: &str, kind: &str) -> String {
    if group.is_empty() {
        kind.to_owned()
    } else {
        format!("{kind}.{group}")
    }
}
