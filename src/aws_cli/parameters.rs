//! The four parameters: merged from options and JSON, and validated by the rules that botocore checks before a call.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::failure::failed;
use super::values::Value;
use crate::error::Error;
use crate::row::{Field, Link};

/// Parameters by their names in the service model, each once, in order of arrival.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parameters(Vec<(String, Value)>);

/// Returns a field's name in the service model.
fn model_name(field: Field) -> &'static str {
    match field {
        Field::IdentityId => "IdentityId",
        Field::IdentityPoolId => "IdentityPoolId",
        Field::DeveloperProviderName => "DeveloperProviderName",
        Field::DeveloperUserIdentifier => "DeveloperUserIdentifier",
    }
}

/// Returns the output of `--generate-cli-skeleton`.
pub(super) fn skeleton() -> String {
    let members = Field::ALL.map(|field| format!("    \"{}\": \"\"", model_name(field)));
    format!("{{\n{}\n}}\n", members.join(",\n"))
}

impl Parameters {
    /// Adds the value of an option.
    pub(super) fn add(&mut self, field: Field, value: Value) {
        self.0.push((model_name(field).to_owned(), value));
    }

    /// Adds the members of a JSON object that are not given already.
    ///
    /// # Errors
    /// The text is no JSON object.
    pub(super) fn merge_json(&mut self, json: &str) -> Result<(), Error> {
        for (name, value) in members(json)? {
            if self.0.iter().all(|(given, _)| *given != name) {
                self.0.push((name, value));
            }
        }
        Ok(())
    }

    /// Returns the link. Longest lengths and patterns are the service's to check, as with botocore.
    ///
    /// # Errors
    /// A parameter is missing, unknown, of a wrong type, or empty. The message lists all of them.
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

/// Describes a value of a wrong type. Types have Python's names, as in the AWS CLI's message; a value that may be a user is not shown.
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

/// Returns the members of a JSON object in order; of a repeated name the last value applies.
fn members(json: &str) -> Result<Vec<(String, Value)>, Error> {
    // The message says where the text is wrong, and does not quote it: it names a user.
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
            .merge_json(json)
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
    fn every_fault_is_listed_and_no_user() {
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
