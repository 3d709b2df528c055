//! Replays `__test__/golden/requests`. Each `.http` file is what a client sends, and the `.json`
//! file beside it has the expected result. The result must not depend on how the bytes are split.

use std::fs;
use std::path::{Path, PathBuf};

use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::setting_value::SettingValue;
use monoceros_engine::pressure::settings::Settings;
use serde_json::Value;

use crate::harness::{Client, End, Engine, Received, echo};

/// A request file with its expected result.
#[derive(Clone)]
struct Case {
    name: String,
    bytes: Vec<u8>,
    expected: Value,
}

#[test]
fn valid_requests_reach_javascript_as_expected() {
    let cases = load_cases("valid");
    assert!(cases.len() >= 40, "the golden requests are missing");
    replay(&cases, |_| vec![usize::MAX]);
}

#[test]
fn invalid_requests_are_refused_with_their_status() {
    let cases = load_cases("invalid");
    assert!(cases.len() >= 100, "the golden requests are missing");
    replay(&cases, |_| vec![usize::MAX]);
}

#[test]
fn single_bytes_give_the_same_result() {
    let mut cases = [load_cases("valid"), load_cases("invalid")].concat();
    cases.retain(|case| case.bytes.len() < 500);
    replay(&cases, |length| vec![1; length]);
}

#[test]
fn chunks_of_any_size_give_the_same_result() {
    let cases = [load_cases("valid"), load_cases("invalid")].concat();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..5 {
        replay(&cases, |length| {
            let mut chunks = Vec::new();
            while chunks.iter().sum::<usize>() < length {
                chunks.push(1 + random.below(if length > 500 { 500 } else { 20 }));
            }
            chunks
        });
    }
}

/// Sends every case in the chunks that `cut` returns for its length, and checks the result.
fn replay(cases: &[Case], mut cut: impl FnMut(usize) -> Vec<usize>) {
    let mut default_engine = Engine::new(echo());
    for case in cases {
        let chunks = cut(case.bytes.len());
        match case.limits() {
            None => case.check(&mut default_engine, &chunks),
            Some(limits) => case.check(&mut Engine::with_limits(limits, echo()), &chunks),
        }
    }
}

impl Case {
    fn check(&self, engine: &mut Engine, chunks: &[usize]) {
        let name = &self.name;
        engine.events.clear();
        let mut client = Client::connect(engine);
        client.name.clone_from(name);
        let mut rest = &self.bytes[..];
        for &chunk in chunks {
            let (first, later) = rest.split_at(chunk.min(rest.len()));
            client.send(engine, first);
            rest = later;
        }
        let requests = self.requests();
        for request in requests {
            let status = final_status(engine, &mut client, request["method"] == "HEAD");
            assert_eq!(status, 200, "{name}, in {chunks:?}");
        }
        if let Some(expected) = self.expected.get("status") {
            let status = final_status(engine, &mut client, false);
            assert_eq!(Value::from(status), *expected, "{name}, in {chunks:?}");
        }
        let received: Vec<_> =
            engine.received().iter().filter(|each| each.complete).map(describe).collect();
        assert_eq!(received, *requests, "{name}, in {chunks:?}");
        if self.expected.get("status").is_some()
            || requests.last().is_some_and(|last| last["keepAlive"] == false)
        {
            assert_eq!(client.end(engine), End::Closed, "{name}");
        }
        engine.settle();
        assert_eq!(client.available(), 0, "{name}: more than was expected");
    }

    fn requests(&self) -> &Vec<Value> {
        self.expected["requests"].as_array().expect("each expectation has requests")
    }

    /// Returns the limits with the settings of the case. Unless the case trusts a proxy, none is
    /// trusted.
    fn limits(&self) -> Option<Limits> {
        let mut settings = Settings {
            forwarded_allow_ips: String::new(),
            proxy_allow_ips: String::new(),
            ..Settings::default()
        };
        for (name, value) in self.expected.get("settings")?.as_object().expect("an object") {
            let set = settings.set(name, &setting_value(value));
            set.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        }
        Some(Limits::new(settings).unwrap_or_else(|error| panic!("{}: {error}", self.name)))
    }
}

fn setting_value(value: &Value) -> SettingValue {
    match value {
        Value::Bool(on) => SettingValue::Flag(*on),
        Value::String(text) => SettingValue::Text(text.clone()),
        Value::Number(number) => SettingValue::Number(number.as_f64().expect("a number")),
        _ => panic!("a golden file cannot set a setting to {value}"),
    }
}

/// Describes a request in the form of the golden files.
fn describe(received: &Received) -> Value {
    let request = &received.request;
    let body: String = received.body.iter().map(|&byte| char::from(byte)).collect();
    let trailers: Vec<_> = received
        .trailers
        .split_terminator("\r\n")
        .map(|line| line.split_once(':').expect("a trailer has a colon"))
        .map(|(name, value)| (name, value.trim()))
        .collect();
    serde_json::json!({
        "method": request.method,
        "target": request.target,
        "version": format!("1.{}", request.minor),
        "fields": request.fields,
        "body": body,
        "trailers": trailers,
        "keepAlive": request.keep_alive,
    })
}

/// Returns the status of the next final response; interim responses are skipped.
fn final_status(engine: &mut Engine, client: &mut Client, is_head_request: bool) -> u16 {
    loop {
        let response =
            if is_head_request { client.response_to_head(engine) } else { client.response(engine) };
        if response.status >= 200 {
            return response.status;
        }
    }
}

fn load_cases(kind: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/golden/requests");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder.join(kind))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
        .collect();
    paths.sort();
    let case = |path: &PathBuf| Case {
        name: format!("{kind}/{}", path.file_stem().unwrap().display()),
        bytes: fs::read(path).unwrap(),
        expected: serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap(),
    };
    paths.iter().map(case).collect()
}

/// A xorshift generator. Every run splits the bytes in the same way, so that a failure can be
/// reproduced.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
