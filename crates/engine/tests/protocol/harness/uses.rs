//! Records the settings that a test gives to the engine, as `__test__/uses.ts` does for the tests
//! in TypeScript: nothing unless the variable `PROOF_RECORD` names a directory.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::{env, thread};

use monoceros_engine::pressure::setting_value::SettingValue;
use monoceros_engine::pressure::settings::Settings;
use serde_json::{Map, Value, json};

/// Adds the settings that differ from their defaults to the record of this thread's test. A test
/// that fails afterwards fails the run, whose record is not looked at then.
pub fn record(settings: &Settings) {
    let Some(directory) = env::var_os("PROOF_RECORD") else { return };
    let thread = thread::current();
    // The name of the test, with its module.
    let Some((module, test)) = thread.name().and_then(|name| name.split_once("::")) else { return };
    let defaults = Settings::default().values();
    let changed = settings.values().into_iter().filter(|value| !defaults.contains(value));
    let changed =
        changed.map(|(name, value)| (name.to_owned(), to_json(value))).collect::<Map<_, _>>();
    let line = json!({ "test": test, "settings": changed });
    let path = Path::new(&directory).join(format!("crates+engine+tests+protocol+{module}.rs"));
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    // One write, so that the lines of two threads do not mix.
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn to_json(value: SettingValue) -> Value {
    match value {
        SettingValue::Unset => Value::Null,
        SettingValue::Number(number) => json!(number),
        SettingValue::Flag(on) => json!(on),
        SettingValue::Text(text) => json!(text),
        SettingValue::Pairs(pairs) => {
            let fields = pairs.into_iter().map(|(name, text)| (name, json!(text)));
            Value::Object(fields.collect())
        }
    }
}
