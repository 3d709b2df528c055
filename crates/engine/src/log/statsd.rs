//! Metrics of requests for statsd: their number, statuses and durations, under Gunicorn's names.
//!
//! A request costs two additions and one stored duration. The lines are built and sent at each
//! clock tick. If a tick has many requests, a uniform sample of the durations is sent, with its
//! sample rate.

use std::fmt::Write;
use std::time::Duration;

use crate::log::socket::LogSocket;

/// The request metrics of one I/O thread.
pub struct Statsd {
    socket: LogSocket,
    /// The text before each metric name, with its dot.
    prefix: String,
    /// The text after each sample, with its bar; empty without tags.
    tags: String,
    /// Requests since the last flush.
    requests: u32,
    /// The number of requests by status, since the last flush.
    statuses: Box<[u32]>,
    /// The statuses whose count is not 0.
    seen_statuses: Vec<u16>,
    /// A sample of the durations since the last flush.
    durations: Vec<Duration>,
    /// The state of the random number generator.
    random: u64,
    /// The lines of the next datagram.
    datagram: String,
}

impl Statsd {
    /// Sends metrics over a socket. `tags` have dogstatsd's form: `a:b,c:d`.
    #[must_use]
    pub fn new(socket: LogSocket, prefix: &str, tags: &str) -> Self {
        let tags = if tags.is_empty() { String::new() } else { format!("|#{tags}") };
        Self {
            socket,
            prefix: prefix.to_owned(),
            tags,
            requests: 0,
            statuses: vec![0; STATUS_TABLE_SIZE].into_boxed_slice(),
            seen_statuses: Vec::new(),
            durations: Vec::with_capacity(MAX_SAMPLES_PER_TICK),
            random: 0x9e37_79b9_7f4a_7c15,
            datagram: String::new(),
        }
    }

    /// Records a finished request.
    pub fn record_request(&mut self, status: u16, duration: Duration) {
        self.requests += 1;
        if let Some(count) = self.statuses.get_mut(status as usize) {
            if *count == 0 {
                self.seen_statuses.push(status);
            }
            *count += 1;
        }
        if self.durations.len() < MAX_SAMPLES_PER_TICK {
            self.durations.push(duration);
            return;
        }
        // Reservoir sampling: each request of the tick is as likely to be sampled as any other.
        let slot = (self.next_random() % u64::from(self.requests)) as usize;
        if let Some(sampled) = self.durations.get_mut(slot) {
            *sampled = duration;
        }
    }

    /// Sends the metrics recorded since the last call.
    pub fn flush(&mut self) {
        if self.requests == 0 {
            return;
        }
        let requests = std::mem::take(&mut self.requests);
        self.line(format_args!("gunicorn.requests:{requests}|c|@1.0"));
        for status in std::mem::take(&mut self.seen_statuses) {
            let count = std::mem::take(&mut self.statuses[status as usize]);
            self.line(format_args!("gunicorn.request.status.{status}:{count}|c|@1.0"));
        }
        let durations = std::mem::take(&mut self.durations);
        let rate = durations.len() as f64 / f64::from(requests);
        for duration in &durations {
            let ms = duration.as_secs_f64() * 1_000.0;
            if rate < 1.0 {
                self.line(format_args!("gunicorn.request.duration:{ms:.3}|ms|@{rate:.4}"));
            } else {
                self.line(format_args!("gunicorn.request.duration:{ms:.3}|ms"));
            }
        }
        self.durations = durations;
        self.durations.clear();
        self.send();
    }

    fn line(&mut self, sample: std::fmt::Arguments<'_>) {
        let before = self.datagram.len();
        // Writing to memory does not fail.
        let _ = writeln!(self.datagram, "{}{sample}{}", self.prefix, self.tags);
        if self.datagram.len() > MAX_DATAGRAM_BYTES && before > 0 {
            let last = self.datagram.split_off(before);
            self.send();
            self.datagram = last;
        }
    }

    fn send(&mut self) {
        let samples = self.datagram.trim_end();
        if !samples.is_empty() {
            self.socket.send(samples.as_bytes());
        }
        self.datagram.clear();
    }

    /// xorshift: a sample must be uniform, not unpredictable.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// Maximum number of durations sampled in one tick.
const MAX_SAMPLES_PER_TICK: usize = 128;
/// The size of the table of statuses: a status has three digits.
const STATUS_TABLE_SIZE: usize = 1_000;
/// Maximum number of bytes of a datagram, so that it fits a packet of an Ethernet network.
const MAX_DATAGRAM_BYTES: usize = 1_432;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn pair(prefix: &str, tags: &str) -> (Statsd, UdpSocket) {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let address = format!("udp://{}", receiver.local_addr().unwrap());
        let socket = LogSocket::open(&address, Duration::ZERO).unwrap();
        (Statsd::new(socket, prefix, tags), receiver)
    }

    fn receive(receiver: &UdpSocket) -> String {
        let mut buffer = [0; 2_048];
        let length = receiver.recv(&mut buffer).unwrap();
        assert!(length <= MAX_DATAGRAM_BYTES);
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn the_names_are_those_of_gunicorn() {
        let (mut statsd, receiver) = pair("app.", "a:b,c:d");
        statsd.record_request(200, Duration::from_micros(1_500));
        statsd.record_request(404, Duration::from_millis(20));
        statsd.record_request(200, Duration::from_micros(2));
        statsd.flush();
        let expected = "app.gunicorn.requests:3|c|@1.0|#a:b,c:d\n\
            app.gunicorn.request.status.200:2|c|@1.0|#a:b,c:d\n\
            app.gunicorn.request.status.404:1|c|@1.0|#a:b,c:d\n\
            app.gunicorn.request.duration:1.500|ms|#a:b,c:d\n\
            app.gunicorn.request.duration:20.000|ms|#a:b,c:d\n\
            app.gunicorn.request.duration:0.002|ms|#a:b,c:d";
        assert_eq!(receive(&receiver), expected);
    }

    #[test]
    fn each_flush_sends_only_new_metrics() {
        let (mut statsd, receiver) = pair("", "");
        for status in [200, 500] {
            statsd.record_request(status, Duration::from_millis(1));
            statsd.flush();
            statsd.flush();
            let expected = format!(
                "gunicorn.requests:1|c|@1.0\ngunicorn.request.status.{status}:1|c|@1.0\n\
                gunicorn.request.duration:1.000|ms"
            );
            assert_eq!(receive(&receiver), expected);
        }
    }

    #[test]
    fn of_many_requests_a_sample_of_durations_is_sent_with_its_rate() {
        let (mut statsd, receiver) = pair("", "");
        (0..1_280).for_each(|ms| statsd.record_request(200, Duration::from_millis(ms)));
        statsd.flush();
        let mut lines = Vec::new();
        while lines.len() < 2 + MAX_SAMPLES_PER_TICK {
            lines.extend(receive(&receiver).lines().map(str::to_owned));
        }
        assert_eq!(lines[0], "gunicorn.requests:1280|c|@1.0");
        assert!(lines[2..].iter().all(|line| line.ends_with("|ms|@0.1000")));
        let of = |line: &String| -> f64 { line[26..line.find('|').unwrap()].parse().unwrap() };
        let mean = lines[2..].iter().map(of).sum::<f64>() / MAX_SAMPLES_PER_TICK as f64;
        // The mean of 0..1280; the seed of the random numbers is fixed.
        assert!((540.0..740.0).contains(&mean), "{mean}");
    }
}
