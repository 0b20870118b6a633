//! A deserializer over JSON values that knows where it is.
//!
//! Serde tells a deserializer which fields a struct has, so unknown keys are found, and spelling hints given, without
//! a schema.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor, value::StrDeserializer,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use super::spelling;
use crate::field::FieldError;

/// Most fields of a struct that a fix lists.
const SHOWN_FIELDS: usize = 16;

/// Characters of a value that a message repeats.
const SHOWN_CHARACTERS: usize = 64;

/// What decoding gave.
pub(super) struct Outcome<T> {
    /// The value, or the first field of a wrong type.
    pub(super) result: Result<T, FieldError>,
    /// Keys that no struct knows.
    pub(super) unknown: Vec<FieldError>,
}

/// Decodes a value.
pub(super) fn from_value<'de, T: Deserialize<'de>>(value: &'de Value) -> Outcome<T> {
    let tracker = Tracker::default();
    let root = Node {
        value,
        path: Path::Root,
        tracker: &tracker,
    };
    let result = T::deserialize(root).map_err(|error| {
        let path = tracker.failed.take().unwrap_or_default();
        FieldError {
            path,
            message: error.message,
            fix: error.fix,
        }
    });
    Outcome {
        result,
        unknown: tracker.unknown.into_inner(),
    }
}

#[derive(Default)]
struct Tracker {
    /// Where the first error happened, deepest level.
    failed: RefCell<Option<String>>,
    unknown: RefCell<Vec<FieldError>>,
}

#[derive(Clone, Copy)]
enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Self::Root, key) => f.write_str(key),
            Self::Key(parent, key) if key.contains(['.', '/', '[']) => {
                write!(f, "{parent}[\"{key}\"]")
            }
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

#[derive(Clone, Copy)]
struct Node<'de, 'p> {
    value: &'de Value,
    path: Path<'p>,
    tracker: &'p Tracker,
}

/// A type error; its place is kept by the tracker.
#[derive(Debug)]
struct Error {
    message: String,
    fix: Option<String>,
    /// The field, below the place of the error, that is missing.
    missing: Option<&'static str>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            fix: None,
            missing: None,
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            missing: Some(field),
            ..Self::custom("required field is missing")
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = Found(found);
        Self::custom(format!("invalid type: {found}, expected {expected}"))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = Found(found);
        Self::custom(format!("invalid value: {found}, expected {expected}"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let fix = spelling::similar(variant, expected.iter().copied())
            .map(|similar| format!("did you mean \"{similar}\"?"));
        let words = expected
            .iter()
            .map(|word| format!("\"{word}\""))
            .collect::<Vec<_>>()
            .join(", ");
        Self {
            fix,
            ..Self::custom(format!(
                "unknown value \"{}\", expected one of {words}",
                beginning(variant)
            ))
        }
    }
}

/// A value as messages show it: of a long text its beginning alone.
struct Found<'a>(Unexpected<'a>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Str(text) => Unexpected::Str(&beginning(text)).fmt(f),
            other => other.fmt(f),
        }
    }
}

/// A text, cut where it is long.
fn beginning(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => Cow::from(format!("{}...", text.get(..end).unwrap_or_default())),
        None => Cow::from(text),
    }
}

impl<'de, 'p> Node<'de, 'p> {
    fn child<'c>(&self, value: &'de Value, path: Path<'c>) -> Node<'de, 'c>
    where
        'p: 'c,
    {
        Node {
            value,
            path,
            tracker: self.tracker,
        }
    }

    /// Keeps the deepest place of an error.
    fn note<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            let place = || match error.missing {
                Some(field) => Path::Key(&self.path, field).to_string(),
                None => self.path.to_string(),
            };
            self.tracker.failed.borrow_mut().get_or_insert_with(place);
        }
        result
    }

    /// Adds what to write instead. Quotes too many or too few are the commonest mistakes in YAML.
    fn advised(&self, error: Error) -> Error {
        if error.fix.is_some() {
            // From a deeper level.
            return error;
        }
        let expected = error.message.rsplit_once(", expected ");
        let expected = expected.map_or("", |(_, expected)| expected);
        let is_word_of_yaml =
            |text: &str| text.parse::<i64>().is_ok() || matches!(text, "true" | "false");
        let fix = match (self.value, expected) {
            (Value::Number(number), "a string") => format!("write \"{number}\" with quotes"),
            (Value::Bool(_), "a string") => "write the word with quotes".to_owned(),
            (Value::String(text), _)
                if error.message.starts_with("invalid type") && is_word_of_yaml(text) =>
            {
                format!("write {text} without quotes")
            }
            (_, "a sequence") => "write a list, each item behind a dash".to_owned(),
            (_, "u8") => whole_number(u8::MIN, u8::MAX),
            (_, "u16") => whole_number(u16::MIN, u16::MAX),
            (_, "u32") => whole_number(u32::MIN, u32::MAX),
            (_, "i32") => whole_number(i32::MIN, i32::MAX),
            _ => return error,
        };
        Error {
            fix: Some(fix),
            ..error
        }
    }

    fn unexpected(&self) -> Unexpected<'de> {
        match self.value {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => number
                .as_i64()
                .map_or(Unexpected::Other("number"), Unexpected::Signed),
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }

    fn find_unknown(&self, map: &Map<String, Value>, known: &'static [&'static str]) {
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let path = Path::Key(&self.path, key).to_string();
            let free = known
                .iter()
                .copied()
                .filter(|name| !map.contains_key(*name));
            let fix = match spelling::similar(key, free) {
                Some(similar) => format!("did you mean `{similar}`?"),
                None if known.len() <= SHOWN_FIELDS => {
                    format!("remove it; known here: {}", known.join(", "))
                }
                None => "remove it, or move it to where it belongs".to_owned(),
            };
            let error = FieldError::new(path, "unknown field").with_fix(fix);
            self.tracker.unknown.borrow_mut().push(error);
        }
    }

    fn visit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => {
                if let Some(value) = number.as_u64() {
                    visitor.visit_u64(value)
                } else if let Some(value) = number.as_i64() {
                    visitor.visit_i64(value)
                } else {
                    visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN))
                }
            }
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items {
                node: self,
                rest: items.iter(),
                index: 0,
            }),
            Value::Object(map) => visitor.visit_map(Entries {
                node: self,
                rest: map.iter(),
                next: None,
            }),
        }
    }
}

impl<'de> Deserializer<'de> for Node<'de, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = self.visit(visitor).map_err(|error| self.advised(error));
        self.note(result)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Value::Object(map) = self.value else {
            return self.note(Err(Error::invalid_type(self.unexpected(), &"an object")));
        };
        self.find_unknown(map, fields);
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let result = match self.value {
            Value::String(_) => visitor.visit_enum(Variant { node: self }),
            Value::Object(map) if map.len() == 1 => visitor.visit_enum(Variant { node: self }),
            Value::Object(_) => Err(Error::custom("exactly one field must be set")),
            _ => Err(Error::invalid_type(self.unexpected(), &"a string")),
        };
        self.note(result)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier
    }
}

fn whole_number<T: fmt::Display>(least: T, most: T) -> String {
    format!("write a whole number from {least} to {most}")
}

struct Items<'de, 'p> {
    node: Node<'de, 'p>,
    rest: std::slice::Iter<'de, Value>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(value) = self.rest.next() else {
            return Ok(None);
        };
        let child = self
            .node
            .child(value, Path::Index(&self.node.path, self.index));
        self.index += 1;
        child.note(seed.deserialize(child)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Entries<'de, 'p> {
    node: Node<'de, 'p>,
    rest: serde_json::map::Iter<'de>,
    next: Option<(&'de String, &'de Value)>,
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.next = self.rest.next();
        let Some((key, _)) = self.next else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Error> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (key, value) = self
            .next
            .take()
            .ok_or_else(|| Error::custom("a value was read before its key"))?;
        let child = self.node.child(value, Path::Key(&self.node.path, key));
        child.note(seed.deserialize(child))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// An enum as serde writes it: a word, or an object whose one key is the word.
struct Variant<'de, 'p> {
    node: Node<'de, 'p>,
}

impl<'de> Variant<'de, '_> {
    fn parts(&self) -> (&'de str, Option<&'de Value>) {
        match self.node.value {
            Value::Object(map) => map
                .iter()
                .next()
                .map_or(("", None), |(key, value)| (key, Some(value))),
            value => (value.as_str().unwrap_or_default(), None),
        }
    }
}

impl<'de> EnumAccess<'de> for Variant<'de, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let (word, _) = self.parts();
        let word: StrDeserializer<'_, Error> = word.into_deserializer();
        seed.deserialize(word).map(|value| (value, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.parts() {
            (_, None) => Ok(()),
            (word, Some(_)) => Err(Error::custom(format!("expected the word \"{word}\" alone"))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        let (word, Some(value)) = self.parts() else {
            return Err(Error::invalid_type(
                self.node.unexpected(),
                &"an object with one field",
            ));
        };
        let child = self.node.child(value, Path::Key(&self.node.path, word));
        child.note(seed.deserialize(child))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        self.newtype_variant_seed(Inside(visitor, None))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.newtype_variant_seed(Inside(visitor, Some(fields)))
    }
}

/// Hands a variant's content to a visitor.
struct Inside<V>(V, Option<&'static [&'static str]>);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Inside<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        match self.1 {
            Some(fields) => deserializer.deserialize_struct("", fields, self.0),
            None => deserializer.deserialize_any(self.0),
        }
    }
}
