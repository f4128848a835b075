//! The four parameters: put together, and held against the rules that botocore checks before it calls.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::failed;
use super::values::Value;
use crate::error::Error;
use crate::row::{Field, Link};

/// Parameters in the order in which they came, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parameters(Vec<(String, Value)>);

/// The service model's name of a field.
fn model_name(field: Field) -> &'static str {
    match field {
        Field::IdentityId => "IdentityId",
        Field::IdentityPoolId => "IdentityPoolId",
        Field::DeveloperProviderName => "DeveloperProviderName",
        Field::DeveloperUserIdentifier => "DeveloperUserIdentifier",
    }
}

/// What `--generate-cli-skeleton` prints.
pub(super) fn skeleton() -> String {
    let members = Field::ALL.map(|field| format!("    \"{}\": \"\"", model_name(field)));
    format!("{{\n{}\n}}\n", members.join(",\n"))
}

impl Parameters {
    pub(super) fn give(&mut self, field: Field, value: Value) {
        self.0.push((model_name(field).to_owned(), value));
    }

    /// Takes from a JSON object what is not given already.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn fill(&mut self, json: &str) -> Result<(), Error> {
        for (name, value) in members(json)? {
            if self.0.iter().all(|(given, _)| *given != name) {
                self.0.push((name, value));
            }
        }
        Ok(())
    }

    /// The link that they name. What botocore leaves to the service, lengths above 1 and patterns, is left to it here.
    ///
    /// # Errors
    /// One is missing, unknown, of another type, or empty. All of them are told.
    pub(super) fn link(self) -> Result<Link, Error> {
        let mut wrong = Vec::new();
        let names = Field::ALL.map(model_name);
        let mut texts: [Option<String>; 4] = Default::default();
        for name in names {
            if self.0.iter().all(|(given, _)| given != name) {
                wrong.push(format!("Missing required parameter in input: \"{name}\""));
            }
        }
        for (name, _) in &self.0 {
            if !names.contains(&name.as_str()) {
                wrong.push(format!(
                    "Unknown parameter in input: \"{name}\", must be one of: {}",
                    names.join(", ")
                ));
            }
        }
        for (name, value) in self.0 {
            let Some(at) = names.iter().position(|known| *known == name) else {
                continue;
            };
            match value {
                Value::Text(text) if text.is_empty() => wrong.push(format!(
                    "Invalid length for parameter {name}, value: 0, valid min length: 1"
                )),
                Value::Text(text) => texts[at] = Some(text),
                other => wrong.push(wrong_type(Field::ALL[at], &other)),
            }
        }
        let [Some(identity), Some(pool), Some(provider), Some(user)] = texts else {
            return Err(failed(format!(
                "Parameter validation failed:\n{}",
                wrong.join("\n")
            )));
        };
        if !wrong.is_empty() {
            return Err(failed(format!(
                "Parameter validation failed:\n{}",
                wrong.join("\n")
            )));
        }
        Ok(Link {
            identity_id: identity,
            identity_pool_id: pool,
            developer_provider_name: provider,
            developer_user_identifier: user,
        })
    }
}

/// The types are named as in Python, which the AWS CLI's message is from. A value that may be a user is not told.
fn wrong_type(field: Field, value: &Value) -> String {
    let kind = match value {
        Value::Text(_) => "str",
        Value::Bytes(_) => "bytes",
        Value::Json(json) => python_type(json),
    };
    let shown = match (field, value) {
        (Field::DeveloperUserIdentifier, _) | (_, Value::Text(_) | Value::Bytes(_)) => {
            "not shown".to_owned()
        }
        (_, Value::Json(json)) => json.clone(),
    };
    format!(
        "Invalid type for parameter {}, value: {shown}, type: <class '{kind}'>, valid types: <class 'str'>",
        model_name(field)
    )
}

fn python_type(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "str",
        Some(b'{') => "dict",
        Some(b'[') => "list",
        Some(b't' | b'f') => "bool",
        Some(b'n') => "NoneType",
        _ if json.contains(['.', 'e', 'E']) => "float",
        _ => "int",
    }
}

/// The members of a JSON object in their order; of a name that stands twice the last value counts.
fn members(json: &str) -> Result<Vec<(String, Value)>, Error> {
    // Where it is wrong is told, and not what it is: it names a user.
    let invalid = |error: serde_json::Error| {
        failed(format!(
            "Error parsing parameter 'cli-input-json': Invalid JSON: {error}"
        ))
    };
    let whole: &RawValue = serde_json::from_str(json).map_err(invalid)?;
    let kind = python_type(whole.get());
    if kind != "dict" {
        return Err(failed(format!(
            "Error parsing parameter 'cli-input-json': expected a JSON object, and this is a '{kind}'"
        )));
    }
    serde_json::Deserializer::from_str(whole.get())
        .deserialize_map(Members)
        .map_err(invalid)
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Self::Value = Vec::new();
        while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
            let value = if raw.get().starts_with('"') {
                Value::Text(serde_json::from_str(raw.get()).map_err(serde::de::Error::custom)?)
            } else {
                Value::Json(raw.get().to_owned())
            };
            match members.iter_mut().find(|(given, _)| *given == name) {
                Some((_, earlier)) => *earlier = value,
                None => members.push((name, value)),
            }
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link_of(json: &str) -> Result<Link, String> {
        let mut parameters = Parameters::default();
        parameters
            .fill(json)
            .and_then(|()| parameters.link())
            .map_err(|error| error.message)
    }

    #[test]
    fn a_filled_in_skeleton_is_a_link() {
        let filled = skeleton().replace("\"\"", "\"x\"");
        let link = link_of(&filled).expect("valid");
        assert_eq!(link.developer_user_identifier, "x");
        let twice = filled.replace("\"IdentityId\"", "\"IdentityId\": \"a\", \"IdentityId\"");
        assert_eq!(link_of(&twice).expect("valid").identity_id, "x");
    }

    #[test]
    fn every_fault_is_told_and_no_user() {
        let wrong = link_of(
            r#"{"Foo":1,"IdentityId":"","IdentityPoolId":5,"DeveloperUserIdentifier":[12345]}"#,
        )
        .expect_err("invalid");
        assert_eq!(
            wrong,
            "Parameter validation failed:\n\
             Missing required parameter in input: \"DeveloperProviderName\"\n\
             Unknown parameter in input: \"Foo\", must be one of: IdentityId, IdentityPoolId, DeveloperProviderName, DeveloperUserIdentifier\n\
             Invalid length for parameter IdentityId, value: 0, valid min length: 1\n\
             Invalid type for parameter IdentityPoolId, value: 5, type: <class 'int'>, valid types: <class 'str'>\n\
             Invalid type for parameter DeveloperUserIdentifier, value: not shown, type: <class 'list'>, valid types: <class 'str'>"
        );
    }

    #[test]
    fn what_is_no_object_is_refused_without_being_shown() {
        for json in [
            "",
            "{",
            "secret",
            "[\"secret\"]",
            "\"secret\"",
            "{\"secret\"",
            "null",
        ] {
            let wrong = link_of(json).expect_err("no object");
            assert!(
                wrong.starts_with("Error parsing parameter 'cli-input-json': "),
                "{wrong}"
            );
            assert!(!wrong.contains("secret"), "{wrong}");
        }
    }
}
