//! Native objects that users wrote under the name of a translated one, which goes before.

use novaedge_api::meta::{ObjectId, ObjectKey, Typed};
use novaedge_api::native;

use crate::diagnostic::Diagnostic;
use crate::view::View;

/// Whether an object is the stored copy of one that the translation made.
pub(crate) fn is_projection<K: Typed>(object: &K) -> bool {
    let annotations = object.object_meta().annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(native::OWNER))
}

/// A finding about the object that a user wrote under the name of a native object made for `owner`.
pub(crate) fn check<K: Typed>(
    view: &View<'_>,
    key: &ObjectKey,
    owner: &ObjectId,
) -> Option<Diagnostic> {
    let written = view.get::<K>(key)?;
    if is_projection(written.as_ref()) {
        return None;
    }
    let text = format!(
        "the {} that is made for {owner} has this name and goes before; rename this one",
        K::KIND
    );
    let id = ObjectId {
        kind: K::KIND,
        key: key.clone(),
    };
    Some(Diagnostic::error(id, "metadata.name", "NameTaken", text))
}
