//! A writer for JSON objects, member by member.
//!
//! Valid UTF-8 is written as text, anything else byte by byte. All that is not printable ASCII is
//! escaped, so that no reader or terminal misinterprets it.

use std::fmt::{Arguments, Display};
use std::io::Write;

/// A JSON object that is appended to a line; `end` closes it.
pub(crate) struct JsonObject<'a> {
    line: &'a mut Vec<u8>,
    /// Whether the next member is the first one.
    is_first: bool,
}

impl<'a> JsonObject<'a> {
    /// Starts an object at the end of `line`.
    pub fn begin(line: &'a mut Vec<u8>) -> Self {
        line.push(b'{');
        Self { line, is_first: true }
    }

    /// Appends a number, or any value that is written as it is.
    pub fn plain(&mut self, name: &str, value: impl Display) {
        self.name(name);
        self.put(format_args!("{value}"));
    }

    /// Appends a string, escaped; `None` becomes `null`.
    pub fn text(&mut self, name: &str, value: Option<&[u8]>) {
        self.name(name);
        let Some(value) = value else { return self.put(format_args!("null")) };
        self.line.push(b'"');
        match std::str::from_utf8(value) {
            Ok(text) => text.chars().for_each(|character| self.character(character)),
            Err(_) => value.iter().for_each(|byte| self.character(char::from(*byte))),
        }
        self.line.push(b'"');
    }

    /// Appends a list of objects, each written by `write`.
    pub fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut JsonObject<'_>, T),
    ) {
        self.name(name);
        self.line.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.line.push(b',');
            }
            let mut object = JsonObject::begin(self.line);
            write(&mut object, item);
            object.end();
        }
        self.line.push(b']');
    }

    /// Closes the object.
    pub fn end(self) {
        self.line.push(b'}');
    }

    fn name(&mut self, name: &str) {
        if !self.is_first {
            self.line.push(b',');
        }
        self.is_first = false;
        self.put(format_args!("\"{name}\":"));
    }

    fn character(&mut self, character: char) {
        match character {
            '"' | '\\' => self.put(format_args!("\\{character}")),
            ' '..='~' => self.line.push(character as u8),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    self.put(format_args!("\\u{unit:04x}"));
                }
            }
        }
    }

    fn put(&mut self, text: Arguments<'_>) {
        // Writing to memory does not fail.
        let _ = self.line.write_fmt(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_follow_each_other_and_text_is_escaped() {
        let mut line = Vec::new();
        let mut object = JsonObject::begin(&mut line);
        object.text("a", Some(b"\"\\\n\xc3\xa4"));
        object.text("b", None);
        object.list("c", [1, 2], |item, number| item.plain("n", number));
        object.end();
        let expected = r#"{"a":"\"\\\u000a\u00e4","b":null,"c":[{"n":1},{"n":2}]}"#;
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }
}
