//! DynamoDB's typed values, such as `{"S": "alice"}`.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// A value with its type, as DynamoDB writes the attributes of an item.
#[derive(Deserialize)]
pub(super) enum AttributeValue<'a> {
    /// A string.
    #[serde(rename = "S", borrow)]
    Text(&'a RawValue),
    /// A number, written as a string.
    #[serde(rename = "N", borrow)]
    Number(&'a RawValue),
    /// Nothing.
    #[serde(rename = "NULL")]
    Null(IgnoredAny),
}

impl<'a> AttributeValue<'a> {
    /// Reads an object that has one of these types as its only key; `None` for any other value.
    pub(super) fn read(raw: &'a str) -> Option<Self> {
        let value = raw
            .starts_with('{')
            .then(|| serde_json::from_str(raw).ok())??;
        match value {
            Self::Text(value) | Self::Number(value) if !value.get().starts_with('"') => None,
            value => Some(value),
        }
    }
}
