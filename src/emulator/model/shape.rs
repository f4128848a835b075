//! Validation of input: the shapes of the service model, and the messages of AWS for input that breaks them.

use std::fmt::{self, Write as _};

use serde_json::Value;

/// A shape of the service model.
#[derive(Debug)]
pub(super) enum Shape {
    /// `string`
    String(StringShape),
    /// `integer` or `long`
    Integer { min: i64, max: i64 },
    /// `boolean`
    Boolean,
    /// `list`
    List {
        of: &'static Shape,
        min: usize,
        max: usize,
    },
    /// `map` from strings to strings
    Map {
        key: &'static StringShape,
        value: &'static StringShape,
        max: usize,
    },
    /// `structure`
    Structure(&'static [Member]),
}

/// A `string`: its length in characters, and its pattern.
#[derive(Debug)]
pub(super) struct StringShape {
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) pattern: Option<Pattern>,
    /// True if AWS leaves the value out of its messages.
    pub(super) sensitive: bool,
}

/// A regular expression of the service model, and the same as a function.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) regex: &'static str,
    pub(super) matches: fn(&str) -> bool,
}

/// A member of a structure: a parameter.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) shape: &'static Shape,
    pub(super) required: bool,
}

/// No upper bound.
pub(super) const NO_LIMIT: usize = usize::MAX;

/// Input that breaks the shape of an operation.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidInput {
    /// A value is of another JSON type than its shape.
    #[error("{0}")]
    WrongType(String),
    /// Values break their constraints.
    #[error("{0}")]
    Constraints(String),
}

/// Validates `input` against the parameters of an operation.
///
/// # Errors
/// A value is of another JSON type than its shape, or breaks its constraints. The message names all broken constraints.
pub(super) fn validate(parameters: &[Member], input: &Value) -> Result<(), InvalidInput> {
    let mut violations = Violations::default();
    structure(parameters, input, "", &mut violations)?;
    if violations.count == 0 {
        return Ok(());
    }
    let errors = if violations.count == 1 {
        "error"
    } else {
        "errors"
    };
    Err(InvalidInput::Constraints(format!(
        "{} validation {errors} detected: {}",
        violations.count, violations.text
    )))
}

/// The broken constraints, in the words of AWS.
#[derive(Debug, Default)]
struct Violations {
    count: usize,
    text: String,
}

impl Violations {
    /// Adds a broken constraint of the value at `path`. `value` is the text of the message; `None` for a sensitive one.
    fn add(&mut self, value: Option<&dyn fmt::Display>, path: &str, constraint: &str) {
        self.count += 1;
        if self.count > 1 {
            self.text.push_str("; ");
        }
        let value = value.map(|value| format!(" {value}")).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(
            self.text,
            "Value{value} at '{path}' failed to satisfy constraint: {constraint}"
        );
    }
}

fn structure(
    members: &[Member],
    value: &Value,
    parent: &str,
    violations: &mut Violations,
) -> Result<(), InvalidInput> {
    let object = value
        .as_object()
        .ok_or_else(|| wrong_type(value, "a structure"))?;
    for member in members {
        let path = format!("{parent}{}", lower_first(member.name));
        match object.get(member.name) {
            None | Some(Value::Null) if member.required => {
                violations.add(Some(&"null"), &path, NOT_NULL);
            }
            None | Some(Value::Null) => {}
            Some(value) => validate_value(member.shape, value, &path, violations)?,
        }
    }
    Ok(())
}

fn validate_value(
    shape: &Shape,
    value: &Value,
    path: &str,
    violations: &mut Violations,
) -> Result<(), InvalidInput> {
    match shape {
        Shape::String(shape) => {
            let value = string(value)?;
            let quoted = format!("'{value}'");
            for constraint in shape.broken_by(value) {
                let shown: &dyn fmt::Display = &quoted;
                violations.add((!shape.sensitive).then_some(shown), path, &constraint);
            }
        }
        Shape::Integer { min, max } => {
            let number = value
                .as_i64()
                .ok_or_else(|| wrong_type(value, "an Integer"))?;
            if let Some(constraint) = broken_range("value", number, *min, *max) {
                violations.add(Some(&format!("'{number}'")), path, &constraint);
            }
        }
        Shape::Boolean => {
            if !value.is_boolean() {
                return Err(wrong_type(value, "a Boolean"));
            }
        }
        Shape::List { of, min, max } => {
            let items = value
                .as_array()
                .ok_or_else(|| wrong_type(value, "a list"))?;
            list_items(of, items, path, violations)?;
            if let Some(constraint) = broken_range("length", items.len(), *min, *max) {
                violations.add(Some(&Shown(value)), path, &constraint);
            }
        }
        Shape::Map {
            key,
            value: of,
            max,
        } => map(key, of, *max, value, path, violations)?,
        Shape::Structure(members) => structure(members, value, &format!("{path}."), violations)?,
    }
    Ok(())
}

fn list_items(
    of: &Shape,
    items: &[Value],
    path: &str,
    violations: &mut Violations,
) -> Result<(), InvalidInput> {
    for (number, item) in (1..).zip(items) {
        match (of, item) {
            (_, Value::Null) => {
                let path = format!("{path}.{number}.member");
                violations.add(Some(&"null"), &path, NOT_NULL);
            }
            (Shape::String(shape), item) => {
                let broken = shape.broken_by(string(item)?).join(", ");
                if !broken.is_empty() {
                    let constraint = format!("Member must satisfy constraint: [{broken}]");
                    let all = Value::Array(items.to_vec());
                    violations.add(Some(&Shown(&all)), path, &constraint);
                }
            }
            (of, item) => {
                validate_value(of, item, &format!("{path}.{number}.member"), violations)?;
            }
        }
    }
    Ok(())
}

fn map(
    key: &StringShape,
    of: &StringShape,
    max: usize,
    value: &Value,
    path: &str,
    violations: &mut Violations,
) -> Result<(), InvalidInput> {
    let entries = value
        .as_object()
        .ok_or_else(|| wrong_type(value, "a map"))?;
    let shown: &dyn fmt::Display = &Shown(value);
    let shown = (!of.sensitive).then_some(shown);
    for (name, entry) in entries {
        let broken = key.broken_by(name).join(", ");
        if !broken.is_empty() {
            let constraint = format!("Map keys must satisfy constraint: [{broken}]");
            violations.add(shown, path, &constraint);
        }
        let broken = match entry {
            Value::Null => NOT_NULL.to_owned(),
            entry => of.broken_by(string(entry)?).join(", "),
        };
        if !broken.is_empty() {
            let constraint = format!("Map value must satisfy constraint: [{broken}]");
            violations.add(shown, path, &constraint);
        }
    }
    if let Some(constraint) = broken_range("length", entries.len(), 0, max) {
        violations.add(shown, path, &constraint);
    }
    Ok(())
}

const NOT_NULL: &str = "Member must not be null";

/// Returns the bound of a value or a length that is broken, if one is.
fn broken_range<T: Copy + PartialOrd + fmt::Display>(
    measure: &str,
    actual: T,
    min: T,
    max: T,
) -> Option<String> {
    if actual > max {
        Some(format!(
            "Member must have {measure} less than or equal to {max}"
        ))
    } else if actual < min {
        Some(format!(
            "Member must have {measure} greater than or equal to {min}"
        ))
    } else {
        None
    }
}

impl StringShape {
    /// Returns the constraints that a value breaks.
    fn broken_by(&self, value: &str) -> Vec<String> {
        let length = value.chars().count();
        let mut broken: Vec<String> = broken_range("length", length, self.min, self.max)
            .into_iter()
            .collect();
        if let Some(pattern) = &self.pattern
            && !(pattern.matches)(value)
        {
            broken.push(format!(
                "Member must satisfy regular expression pattern: {}",
                pattern.regex
            ));
        }
        broken
    }
}

/// A list or a map in the form that messages have: `'[a, b]'`, `'{a=b}'`.
struct Shown<'a>(&'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match self.0 {
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(plain).collect();
                write!(f, "'[{}]'", items.join(", "))
            }
            Value::Object(entries) => {
                let entries = entries.iter();
                let entries: Vec<String> = entries
                    .map(|(key, value)| format!("{key}={}", plain(value)))
                    .collect();
                write!(f, "'{{{}}}'", entries.join(", "))
            }
            other => write!(f, "'{}'", plain(other)),
        }
    }
}

fn string(value: &Value) -> Result<&str, InvalidInput> {
    value.as_str().ok_or_else(|| wrong_type(value, "a String"))
}

/// Returns the name of a member as AWS's messages have it, in lower camel case.
fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        format!("{}{}", first.to_ascii_lowercase(), letters.as_str())
    })
}

fn wrong_type(value: &Value, expected: &str) -> InvalidInput {
    InvalidInput::WrongType(match value {
        Value::Object(_) => "Start of structure or map found where not expected.".to_owned(),
        Value::Array(_) => "Start of list found where not expected".to_owned(),
        Value::Null => format!("null can not be converted to {expected}"),
        Value::Bool(true) => format!("TRUE_VALUE can not be converted to {expected}"),
        Value::Bool(false) => format!("FALSE_VALUE can not be converted to {expected}"),
        Value::Number(_) => format!("NUMBER_VALUE can not be converted to {expected}"),
        Value::String(_) => format!("STRING_VALUE can not be converted to {expected}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::operation::Operation;
    use super::*;

    fn message(operation: Operation, input: &Value) -> String {
        match validate(operation.parameters(), input) {
            Ok(()) => String::new(),
            Err(InvalidInput::Constraints(message)) => message,
            Err(InvalidInput::WrongType(message)) => format!("malformed: {message}"),
        }
    }

    #[test]
    fn broken_constraints_are_worded_as_aws_does() {
        let unlink = |identity: &str| {
            message(
                Operation::UnlinkDeveloperIdentity,
                &json!({
                    "IdentityId": identity, "IdentityPoolId": "r:0",
                    "DeveloperProviderName": "p", "DeveloperUserIdentifier": "u",
                }),
            )
        };
        assert_eq!(unlink("r:1"), "");
        assert_eq!(
            unlink("r:G"),
            "1 validation error detected: Value 'r:G' at 'identityId' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [\\w-]+:[0-9a-f-]+"
        );
        assert_eq!(
            unlink(""),
            "2 validation errors detected: Value '' at 'identityId' failed to satisfy constraint: \
             Member must have length greater than or equal to 1; Value '' at 'identityId' failed to \
             satisfy constraint: Member must satisfy regular expression pattern: [\\w-]+:[0-9a-f-]+"
        );
        let long = unlink(&format!("r:{}", "0".repeat(54)));
        assert!(long.ends_with("Member must have length less than or equal to 55"));
        let nothing = message(
            Operation::UnlinkDeveloperIdentity,
            &json!({"IdentityId": null}),
        );
        assert!(nothing.starts_with(
            "4 validation errors detected: Value null at 'identityId' failed to satisfy \
             constraint: Member must not be null; Value null at 'identityPoolId'"
        ));
    }

    #[test]
    fn numbers_lists_and_maps_have_bounds() {
        let list = |max: i64| {
            let input = json!({"IdentityPoolId": "r:0", "MaxResults": max});
            message(Operation::ListIdentities, &input)
        };
        assert_eq!((list(1), list(60)), (String::new(), String::new()));
        assert_eq!(
            list(61),
            "1 validation error detected: Value '61' at 'maxResults' failed to satisfy constraint: \
             Member must have value less than or equal to 60"
        );
        assert!(list(0).ends_with("greater than or equal to 1"));

        let delete = |ids: Value| {
            message(
                Operation::DeleteIdentities,
                &json!({"IdentityIdsToDelete": ids}),
            )
        };
        assert!(delete(json!([])).contains("Value '[]' at 'identityIdsToDelete'"));
        assert!(delete(json!(vec!["r:0"; 61])).ends_with("less than or equal to 60"));
        assert!(delete(json!(["r:0", "x"])).contains(
            "Value '[r:0, x]' at 'identityIdsToDelete' failed to satisfy constraint: Member must \
             satisfy constraint: [Member must satisfy regular expression pattern:"
        ));
        assert!(delete(json!([null])).contains("'identityIdsToDelete.1.member'"));

        let token = |logins: Value| {
            message(
                Operation::GetOpenIdTokenForDeveloperIdentity,
                &json!({"IdentityPoolId": "r:0", "Logins": logins}),
            )
        };
        assert_eq!(token(json!({"p": "u"})), "");
        // The value of a login is sensitive.
        assert!(token(json!({"p": ""})).contains("Value at 'logins' failed"));
        assert!(token(json!({"": "u"})).contains("Map keys must satisfy constraint: ["));
        let many: serde_json::Map<_, _> = (0..11).map(|n| (n.to_string(), json!("u"))).collect();
        assert!(token(many.into()).ends_with("less than or equal to 10"));
    }

    #[test]
    fn structures_within_lists_are_checked() {
        let create = |client: Value| {
            message(
                Operation::CreateIdentityPool,
                &json!({
                    "IdentityPoolName": "n", "AllowUnauthenticatedIdentities": false,
                    "CognitoIdentityProviders": [{"ClientId": "ok"}, {"ClientId": client}],
                }),
            )
        };
        assert_eq!(create(json!("c1")), "");
        assert!(create(json!("c-1")).contains("at 'cognitoIdentityProviders.2.member.clientId'"));
        assert!(create(json!(1)).starts_with("malformed: NUMBER_VALUE"));
    }

    #[test]
    fn wrong_types_are_malformed() {
        for (input, why) in [
            (json!([]), "Start of list found where not expected"),
            (
                json!({"IdentityPoolId": 1}),
                "NUMBER_VALUE can not be converted to a String",
            ),
            (
                json!({"IdentityPoolId": {}}),
                "Start of structure or map found where not expected.",
            ),
            (
                json!({"IdentityPoolId": "r:0", "MaxResults": "1"}),
                "STRING_VALUE can not be converted to an Integer",
            ),
            (
                json!({"IdentityPoolId": "r:0", "MaxResults": 1, "HideDisabled": 0}),
                "NUMBER_VALUE can not be converted to a Boolean",
            ),
        ] {
            let message = message(Operation::ListIdentities, &input);
            assert_eq!(message, format!("malformed: {why}"));
        }
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        let lookup = |user: &str| {
            let input = json!({"IdentityPoolId": "r:0", "DeveloperUserIdentifier": user});
            message(Operation::LookupDeveloperIdentity, &input)
        };
        assert_eq!(lookup(&"é".repeat(1024)), "");
        assert!(lookup(&"é".repeat(1025)).ends_with("less than or equal to 1024"));
    }
}
