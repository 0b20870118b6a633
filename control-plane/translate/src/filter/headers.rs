//! Header modifiers.

use novaedge_api::gateway::{HttpHeader, HttpHeaderFilter};
use novaedge_api::native::{ProxyHeader, ProxyHeaderModifier};

use crate::route::fault::Fault;

/// A header modifier. Of several entries for one name in one list the first counts; one name in two
/// lists is a contradiction (`HTTPHeaderFilter`: only one action for a name is permitted).
pub(super) fn modifier(
    given: &HttpHeaderFilter,
    field: &str,
    ignored: &mut Vec<Fault>,
) -> Result<ProxyHeaderModifier, Fault> {
    let mut names = Names {
        field,
        seen: Vec::new(),
        ignored,
    };
    let set = headers(&given.set, "set", &mut names)?;
    let add = headers(&given.add, "add", &mut names)?;
    let mut remove = Vec::new();
    for (index, name) in given.remove.iter().enumerate() {
        if names.enter(name, "remove", index)? {
            remove.push(name.clone());
        }
    }
    Ok(ProxyHeaderModifier { set, add, remove })
}

fn headers(
    given: &[HttpHeader],
    list: &'static str,
    names: &mut Names<'_>,
) -> Result<Vec<ProxyHeader>, Fault> {
    let mut found = Vec::new();
    for (index, header) in given.iter().enumerate() {
        let entered = names.enter(&header.name, list, index)?;
        if !is_value(&header.value) {
            let field = format!("{}.{list}[{index}].value", names.field);
            let text = "the value contains characters that no header can carry; remove them";
            return Err(Fault::unsupported(field, text));
        }
        if entered {
            found.push(ProxyHeader {
                name: header.name.clone(),
                value: header.value.clone(),
            });
        }
    }
    Ok(found)
}

/// The names that a modifier has acted on, each with the list that did.
struct Names<'a> {
    field: &'a str,
    seen: Vec<(String, &'static str)>,
    ignored: &'a mut Vec<Fault>,
}

impl Names<'_> {
    /// Whether the entry counts.
    fn enter(&mut self, name: &str, list: &'static str, index: usize) -> Result<bool, Fault> {
        let field = format!("{}.{list}[{index}]", self.field);
        if !is_token(name) {
            let text = format!("\"{name}\" is no header name; correct it");
            return Err(Fault::unsupported(field, text));
        }
        match self
            .seen
            .iter()
            .find(|(seen, _)| seen.eq_ignore_ascii_case(name))
        {
            None => {
                self.seen.push((name.to_owned(), list));
                Ok(true)
            }
            Some((_, before)) if *before == list => {
                let text = format!(
                    "header \"{name}\" stands in {list} before, and the first entry counts; remove this one"
                );
                self.ignored.push(Fault::unsupported(field, text));
                Ok(false)
            }
            Some((_, before)) => {
                let text = format!(
                    "header \"{name}\" stands in {before} too, and only one action for a name is permitted; remove one"
                );
                Err(Fault::unsupported(field, text))
            }
        }
    }
}

/// Whether the text is a token of RFC 9110 section 5.6.2, as header names are.
pub(crate) fn is_token(text: &str) -> bool {
    let symbol = |byte: u8| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || symbol(byte))
}

/// Whether the text may stand as a header's value (RFC 9110 section 5.5).
pub(crate) fn is_value(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

#[cfg(test)]
mod tests {
    use novaedge_api::gateway::{HttpHeader, HttpHeaderFilter};

    use super::modifier;

    fn header(name: &str, value: &str) -> HttpHeader {
        HttpHeader {
            name: name.into(),
            value: value.into(),
        }
    }

    #[test]
    fn the_first_of_equal_names_counts() {
        let given = HttpHeaderFilter {
            set: vec![header("X-A", "1"), header("x-a", "2"), header("X-B", "3")],
            remove: vec!["X-C".into(), "x-c".into()],
            ..HttpHeaderFilter::default()
        };
        let mut ignored = Vec::new();
        let native = modifier(&given, "f", &mut ignored).unwrap();
        assert_eq!(native.set.len(), 2);
        assert_eq!(native.remove, ["X-C"]);
        let fields: Vec<&str> = ignored.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["f.set[1]", "f.remove[1]"]);
    }

    #[test]
    fn contradictions_and_bad_texts_are_faults() {
        let check = |set: &[HttpHeader], add: &[HttpHeader], remove: &[&str], field: &str| {
            let remove = remove.iter().map(|name| (*name).to_owned()).collect();
            let given = HttpHeaderFilter {
                set: set.to_vec(),
                add: add.to_vec(),
                remove,
            };
            assert_eq!(
                modifier(&given, "f", &mut Vec::new()).unwrap_err().field,
                field
            );
        };
        check(
            &[header("X-A", "1")],
            &[header("x-a", "2")],
            &[],
            "f.add[0]",
        );
        check(&[header("X-A", "1")], &[], &["x-a"], "f.remove[0]");
        check(&[header("X A", "1")], &[], &[], "f.set[0]");
        check(&[header(":path", "1")], &[], &[], "f.set[0]");
        check(&[], &[header("X-A", "a\r\nb")], &[], "f.add[0].value");
    }
}
