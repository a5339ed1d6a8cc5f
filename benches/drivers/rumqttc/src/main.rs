//! rumqttc: its asynchronous client on tokio's runtime with one thread. Options and report as in bench.c.

use std::error::Error;
use std::fs;
use std::process::exit;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, NetworkOptions, Packet, QoS, Transport};

type Outcome = Result<(), Box<dyn Error>>;

#[derive(Clone)]
struct Job {
    mode: String,
    host: String,
    port: u16,
    ca: Option<String>,
    qos: u8,
    window: u16,
    count: usize,
    size: usize,
    connections: usize,
    seconds: u64,
    keep_alive: u64,
    defaults: bool,
    times: bool,
}

fn parse() -> Result<Job, Box<dyn Error>> {
    let mut job = Job {
        mode: String::new(),
        host: "127.0.0.1".into(),
        port: 0,
        ca: None,
        qos: 0,
        window: 1000,
        count: 1000,
        size: 256,
        connections: 1,
        seconds: 0,
        keep_alive: 60,
        defaults: false,
        times: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or("an option without its value");
        match word.as_str() {
            "--host" => job.host = value()?,
            "--port" => job.port = value()?.parse()?,
            "--ca" => job.ca = Some(value()?),
            "--qos" => job.qos = value()?.parse()?,
            "--window" => job.window = value()?.parse()?,
            "--count" => job.count = value()?.parse()?,
            "--size" => job.size = value()?.parse()?,
            "--connections" => job.connections = value()?.parse()?,
            "--seconds" => job.seconds = value()?.parse()?,
            "--keep-alive" => job.keep_alive = value()?.parse()?,
            "--defaults" => job.defaults = true,
            "--times" => job.times = true,
            mode => job.mode = mode.into(),
        }
    }
    Ok(job)
}

/// Wall clock, CPU seconds and the times that the process slept.
struct Usage(Instant, f64, i64);

fn usage() -> Usage {
    let mut r = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the place for the result is valid, and all zero is a valid value of it.
    let r = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, r.as_mut_ptr());
        r.assume_init()
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    Usage(Instant::now(), seconds(r.ru_utime) + seconds(r.ru_stime), r.ru_nvcsw)
}

fn proc_number(path: &str, name: &str) -> f64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let numbers = text.lines().filter(|line| line.starts_with(name));
    numbers.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).sum()
}

/// Prints the one line and ends, without taking anything down.
fn report(job: &Job, begun: &Usage, mut took: Vec<f64>, memory: Option<f64>) -> ! {
    let ended = usage();
    let per = 1e6 / job.count as f64;
    let wall = ended.0.duration_since(begun.0).as_secs_f64() * per;
    print!("{{\"wall_us\":{wall:.4},\"cpu_us\":{:.4},\"waits\":{}", (ended.1 - begun.1) * per, ended.2 - begun.2);
    if job.times && !took.is_empty() {
        took.sort_by(f64::total_cmp);
        let at = |part: usize| took[took.len() * part / 100] * 1e6;
        print!(",\"median_us\":{:.3},\"p99_us\":{:.3}", at(50), at(99));
    }
    if let Some(kib) = memory {
        let threads = proc_number("/proc/self/status", "Threads");
        print!(",\"kib_per_connection\":{:.3},\"threads\":{threads}", kib / job.connections as f64);
    }
    println!("}}");
    exit(0)
}

async fn dial(job: &Job, number: usize) -> Result<(AsyncClient, EventLoop), Box<dyn Error>> {
    let mut options = MqttOptions::new(format!("rumqttc{number}"), job.host.clone(), job.port);
    options.set_keep_alive(Duration::from_secs(job.keep_alive));
    options.set_max_packet_size(1 << 24, 1 << 24);
    if !job.defaults {
        options.set_inflight(job.window);
    }
    if let Some(ca) = &job.ca {
        options.set_transport(Transport::tls(fs::read(ca)?, None, None));
    }
    let (client, mut events) = AsyncClient::new(options, usize::from(job.window).max(10));
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(!job.defaults);
    // Under valgrind a TLS handshake takes longer than its five seconds.
    network.set_connection_timeout(60);
    events.set_network_options(network);
    while !matches!(events.poll().await?, Event::Incoming(Packet::ConnAck(_))) {}
    Ok((client, events))
}

fn qos(number: u8) -> QoS {
    match number {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

async fn publish(job: Job) -> Outcome {
    let (client, mut events) = dial(&job, 0).await?;
    let begun = usage();
    let of = job.clone();
    let payload = Bytes::from(vec![b'x'; job.size]);
    tokio::spawn(async move {
        for _ in 0..of.count {
            let _ = client.publish_bytes("bench/topic/0", qos(of.qos), false, payload.clone()).await;
        }
        if of.qos == 0 {
            // Its acknowledgement proves that all of them have arrived.
            let _ = client.publish("bench/topic/0", QoS::AtLeastOnce, false, "").await;
        }
        std::future::pending::<()>().await;
    });
    let mut left = if job.qos == 0 { 1 } else { job.count };
    while left > 0 {
        match events.poll().await? {
            Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_)) => left -= 1,
            _ => {}
        }
    }
    report(&job, &begun, Vec::new(), None)
}

async fn receive(job: Job) -> Outcome {
    let (client, mut events) = dial(&job, 0).await?;
    let begun = usage();
    let topic = format!("flood/{}/{}/{}/{}/0", job.count, job.size, job.qos, job.window);
    client.subscribe(topic, qos(job.qos)).await?;
    let mut left = job.count;
    while left > 0 {
        if let Event::Incoming(Packet::Publish(message)) = events.poll().await? {
            left -= usize::from(message.payload.len() == job.size);
        }
    }
    report(&job, &begun, Vec::new(), None)
}

async fn round_trip(job: Job) -> Outcome {
    let (client, mut events) = dial(&job, 0).await?;
    let mut took = Vec::with_capacity(job.count);
    let payload = Bytes::from(vec![b'x'; job.size]);
    let begun = usage();
    for _ in 0..job.count {
        let sent = Instant::now();
        client.publish_bytes("echo/0", qos(job.qos), false, payload.clone()).await?;
        while !matches!(events.poll().await?, Event::Incoming(Packet::Publish(_))) {}
        took.push(sent.elapsed().as_secs_f64());
    }
    report(&job, &begun, took, None)
}

async fn hold(job: Job) -> Outcome {
    let private = || proc_number("/proc/self/smaps_rollup", "Private_");
    let before = private();
    let (up, mut ups) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..job.connections {
        let (job, up) = (job.clone(), up.clone());
        tokio::spawn(async move {
            let Ok((_client, mut events)) = dial(&job, number).await else { exit(1) };
            let _ = up.send(());
            while events.poll().await.is_ok() {}
            exit(1)
        });
    }
    for _ in 0..job.connections {
        ups.recv().await.ok_or("a connection was lost")?;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let memory = private() - before;
    let begun = usage();
    tokio::time::sleep(Duration::from_secs(job.seconds)).await;
    report(&job, &begun, Vec::new(), Some(memory))
}

fn main() -> Outcome {
    let job = parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match job.mode.as_str() {
            "connect" => {
                let begun = usage();
                let _connected = dial(&job, 0).await?;
                report(&job, &begun, Vec::new(), None)
            }
            "publish" => publish(job).await,
            "receive" => receive(job).await,
            "round-trip" => round_trip(job).await,
            "hold" => hold(job).await,
            _ => Err("has no such job".into()),
        }
    })
}
