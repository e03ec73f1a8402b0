//! Whether a value has the form that the API's description says, as far as our forms go.

use serde_json::Value;

/// Checks a value against a schema of the document.
pub(crate) fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let at = reference.trim_start_matches('#');
        let named = document.pointer(at).ok_or_else(|| format!("there is no {reference}"))?;
        return check(document, named, value).map_err(|error| format!("{reference}: {error}"));
    }
    if let Some(forms) = schema["oneOf"].as_array() {
        let errors: Vec<String> =
            forms.iter().filter_map(|form| check(document, form, value).err()).collect();
        return match forms.len() - errors.len() {
            1 => Ok(()),
            n => Err(format!("{value} has {n} of the forms: {errors:?}")),
        };
    }
    let kinds = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return Err(format!("a schema without a type: {schema}")),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = kinds.contains(&kind) || (kind == "integer" && kinds.contains(&"number"));
    if !fits {
        return Err(format!("{value} is no {kinds:?}"));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return Err(format!("{value} is none of {words:?}"));
    }
    if let (Some(number), Some(least)) = (value.as_f64(), schema["minimum"].as_f64())
        && number < least
    {
        return Err(format!("{value} is below {least}"));
    }
    for item in value.as_array().into_iter().flatten() {
        check(document, &schema["items"], item)?;
    }
    value.as_object().map_or(Ok(()), |object| fields(document, schema, object))
}

fn fields(
    document: &Value,
    schema: &Value,
    object: &serde_json::Map<String, Value>,
) -> Result<(), String> {
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(name) {
            return Err(format!("{name} is missing"));
        }
    }
    for (name, value) in object {
        let field = &schema["properties"][name];
        let form = if field.is_null() { &schema["additionalProperties"] } else { field };
        match form {
            Value::Null | Value::Bool(true) => {}
            Value::Bool(false) => return Err(format!("{name} is not described")),
            form => check(document, form, value).map_err(|error| format!("{name}: {error}"))?,
        }
    }
    Ok(())
}
