//! The ids by which both sides name an exchange.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::harness::{Client, Engine, Event, silent};

#[test]
fn while_javascript_is_blocked_no_request_gets_an_id_that_it_has_in_flight() {
    let mut engine = Engine::new(silent());
    let mut victim = Client::connect(&engine);
    victim.send(&mut engine, GET);
    let id = engine.request_to("/");
    let in_flight = |engine: &Engine| engine.js.io.counters()[1];
    let wait = |engine: &Engine, requests: u64| {
        let end = Instant::now() + Duration::from_secs(10);
        while in_flight(engine) != requests {
            assert!(Instant::now() < end, "{} in flight", in_flight(engine));
            std::thread::yield_now();
        }
    };
    victim.reset();
    wait(&engine, 0);
    // More than there are ids of one place.
    for _ in 0..2_100 {
        let mut client = Client::connect(&engine);
        assert_eq!(client.try_send(GET.as_bytes()), GET.len());
        wait(&engine, 1);
        let mut stays = Client::connect(&engine);
        assert_eq!(stays.try_send(GET.as_bytes()), GET.len());
        wait(&engine, 2);
        client.reset();
        wait(&engine, 1);
        stays.reset();
        wait(&engine, 0);
    }
    // JavaScript has taken the first request; the others were withdrawn.
    engine.until("all ends", |engine| {
        let is_end = |event: &Event| matches!(event, Event::Aborted(_) | Event::Withdrawn(_));
        (engine.count(is_end) == 4_201).then_some(())
    });
    let ids: HashSet<_> = engine
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Aborted(id) | Event::Withdrawn(id) => Some(*id),
            _ => None,
        })
        .collect();
    assert!(ids.contains(&id));
    assert_eq!(ids.len(), 4_201);
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
