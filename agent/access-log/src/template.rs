//! Lines as users want them: text with `%{field}` in it.

use http::HeaderName;

use crate::field::{FIELDS, Field, REQUEST_HEADER, RESPONSE_HEADER};

/// Bytes of a template.
const LONGEST: usize = 4096;

/// A line in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub(crate) parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Field(Field),
    RequestHeader(HeaderName),
    ResponseHeader(HeaderName),
}

/// Why a template is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It tells nothing.
    #[error("the template has no field: write %{{field}}, such as %{{http.response.status_code}}")]
    Empty,
    /// It is too long.
    #[error("the template is longer than {LONGEST} bytes")]
    Long,
    /// It would make more than one line.
    #[error("the template has a control character at byte {0}: a line ends where it ends")]
    Control(usize),
    /// A field does not end.
    #[error("the template has %{{ without }} at byte {0}")]
    Open(usize),
    /// A percent sign begins nothing.
    #[error("the template has a lone % at byte {0}: write %% for a percent sign, or %{{field}}")]
    Percent(usize),
    /// There is no such field.
    #[error("the template has the unknown field {name:?}; known are {known}, {REQUEST_HEADER}NAME and {RESPONSE_HEADER}NAME", known = known())]
    Unknown {
        /// As it is written.
        name: String,
    },
    /// A header field cannot have this name.
    #[error("the template has {0:?}, which is no name of a header field")]
    Header(String),
}

fn known() -> String {
    let names: Vec<_> = FIELDS.iter().map(|info| info.name).collect();
    names.join(", ")
}

impl Template {
    /// Reads a template: `%{field}` is a value, `%%` a percent sign.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > LONGEST {
            return Err(TemplateError::Long);
        }
        if let Some((at, _)) = text.char_indices().find(|(_, one)| one.is_control()) {
            return Err(TemplateError::Control(at));
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            let offset = text.len() - rest.len() + at;
            let (before, sign) = rest.split_at(at);
            plain.push_str(before);
            if let Some(tail) = sign.strip_prefix("%%") {
                plain.push('%');
                rest = tail;
            } else if let Some(tail) = sign.strip_prefix("%{") {
                let (name, tail) = tail.split_once('}').ok_or(TemplateError::Open(offset))?;
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::named(name)?);
                rest = tail;
            } else {
                return Err(TemplateError::Percent(offset));
            }
        }
        plain.push_str(rest);
        if parts.iter().all(|part| matches!(part, Part::Text(_))) {
            return Err(TemplateError::Empty);
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// The request's fields that it has.
    pub(crate) fn request_headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.parts.iter().filter_map(|part| match part {
            Part::RequestHeader(name) => Some(name),
            _ => None,
        })
    }

    /// The answer's fields that it has.
    pub(crate) fn response_headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.parts.iter().filter_map(|part| match part {
            Part::ResponseHeader(name) => Some(name),
            _ => None,
        })
    }
}

impl Part {
    fn named(name: &str) -> Result<Self, TemplateError> {
        let header = |text: &str| {
            HeaderName::try_from(text).map_err(|_| TemplateError::Header(text.to_owned()))
        };
        if let Some(field) = Field::named(name) {
            Ok(Self::Field(field))
        } else if let Some(text) = name.strip_prefix(REQUEST_HEADER) {
            header(text).map(Self::RequestHeader)
        } else if let Some(text) = name.strip_prefix(RESPONSE_HEADER) {
            header(text).map(Self::ResponseHeader)
        } else {
            Err(TemplateError::Unknown {
                name: name.to_owned(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_template_is_read_into_parts() {
        let read = Template::parse("%{time} 100%% %{http.request.header.X-Tenant}!").unwrap();
        assert_eq!(
            read.parts,
            [
                Part::Field(Field::Time),
                Part::Text(" 100% ".into()),
                Part::RequestHeader(HeaderName::from_static("x-tenant")),
                Part::Text("!".into()),
            ]
        );
    }

    #[test]
    fn what_is_no_template_is_told() {
        for (text, expect) in [
            ("", "no field"),
            ("plain", "no field"),
            ("%{time", "without } at byte 0"),
            ("a %d", "lone % at byte 2"),
            ("%{time}%", "lone % at byte 7"),
            ("%{stat}", "unknown field \"stat\"; known are time, "),
            ("%{stat}", "http.response.status_code, "),
            ("%{http.request.header.a b}", "no name of a header field"),
            ("%{time}\n", "control character at byte 7"),
        ] {
            let told = Template::parse(text).unwrap_err().to_string();
            assert!(told.contains(expect), "{text}: {told}");
        }
        let long = format!("%{{time}}{}", "a".repeat(LONGEST));
        assert_eq!(Template::parse(&long), Err(TemplateError::Long));
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_percent_signs_can_be_written(text in "[%{}a-z. \u{e4}\n]{0,40}") {
            let _ = Template::parse(&text);
            let plain = text.replace('\n', "").replace('%', "%%");
            let read = Template::parse(&format!("{plain}%{{time}}")).unwrap();
            let first = match &read.parts[0] {
                Part::Text(first) => first.as_str(),
                _ => "",
            };
            prop_assert_eq!(first, text.replace('\n', ""));
        }
    }
}
