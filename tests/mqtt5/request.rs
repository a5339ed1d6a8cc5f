//! Requests and responses: with a server whose every packet the test writes, in both versions.

use std::cell::Cell;
use std::ptr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use mgos_mqtt::client::{Conn, Event, Identity, Kind, Listener, Query, RawArgs, ReplyTo, Report};
use mgos_mqtt::config::{Profile, Protocol, Settings};
use mgos_mqtt::error::Code;
use mgos_mqtt::session::Publication;
use mgos_mqtt::time::Span;
use mgos_mqtt::wire::PropertyValue::{Binary, FourByte, Pair, TwoByte, Utf8};
use mgos_mqtt::wire::{Packet, PacketType, Properties, Property, PropertyId, Publish};

use crate::rig::{Client, LONG, Link, Q0, Q1, Server, Tell, Told, profile};

/// How a request ended: its number, the error, the reason, the payload of the response.
type End = (u64, Code, Option<u8>, Vec<u8>);

/// Where those of each test go. A listener is plain data, so it has the place in this list.
static ENDS: Mutex<Vec<Sender<End>>> = Mutex::new(Vec::new());

fn tell(_: &Conn, event: &Event<'_>, [place, ..]: RawArgs) {
    let Event::Response { id, error, reason, message } = event else { panic!("{event:?}") };
    assert_eq!(event.kind(), Kind::Response);
    let payload = message.map(|message| message.payload.to_vec()).unwrap_or_default();
    let _ = ENDS.lock().unwrap()[place.addr()].send((*id, *error, *reason, payload));
}

/// Asks on a connection, and learns how that ended.
struct Asker {
    place: usize,
    ends: Receiver<End>,
}

impl Asker {
    fn new() -> Asker {
        let (sender, ends) = channel();
        let mut all = ENDS.lock().unwrap();
        all.push(sender);
        Asker { place: all.len() - 1, ends }
    }

    fn ask(&self, client: &Client, query: &Query<'_>) -> Result<u64, Code> {
        let words = [ptr::without_provenance_mut(self.place), ptr::null_mut(), ptr::null_mut()];
        let id = Cell::new(0);
        client.conn.request(query, Listener::new(tell, words), &id).map(|()| id.get())
    }

    #[track_caller]
    fn ended(&self) -> End {
        self.ends.recv_timeout(LONG).expect("no request ended")
    }
}

fn query() -> Query<'static> {
    let message = Publication::new("plant/thermometer", b"?", Q1);
    Query { message, timeout: None, ends_with_link: false, response_topic: None }
}

/// The next PUBLISH: packet id, topic, response topic and correlation data.
#[track_caller]
fn request(link: &mut Link) -> (u16, String, String, Vec<u8>) {
    link.next(|packet| {
        let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
        let topic = publish.properties.text(PropertyId::ResponseTopic).unwrap_or_default();
        let data = match publish.properties.get(PropertyId::CorrelationData) {
            Some(Binary(data)) => data.to_vec(),
            _ => Vec::new(),
        };
        (publish.packet_id, publish.topic.to_owned(), topic.to_owned(), data)
    })
}

/// The filter of the next SUBSCRIBE, which is answered with this code.
#[track_caller]
fn subscribed(link: &mut Link, code: u8) -> String {
    let (id, filter) = link.next(|packet| {
        let Packet::Subscribe(subscribe) = packet else { panic!("{packet:?}") };
        (subscribe.packet_id, subscribe.filters().next().unwrap().0.to_owned())
    });
    let [high, low] = id.to_be_bytes();
    link.write(&[0x90, 4, high, low, 0, code]);
    filter
}

fn respond(link: &mut Link, topic: &str, payload: &[u8], list: &[Property<'_>]) {
    let properties = Properties::from_list(list);
    link.send(&Packet::Publish(Publish { topic, properties, payload, ..Publish::default() }));
}

#[test]
fn many_requests_share_one_subscription_and_each_has_its_own_response() {
    let server = Server::new();
    let (client, mut link) = server.connected(Settings::default(), &[]);
    let asker = Asker::new();
    let first = asker.ask(&client, &query()).unwrap();
    let filter = subscribed(&mut link, 1);
    let mut asked = vec![(first, request(&mut link))];
    for _ in 0..9 {
        let id = asker.ask(&client, &query()).unwrap();
        asked.push((id, request(&mut link)));
    }
    assert!(filter.starts_with("mgos/response/") && filter.len() == 30, "{filter}");
    // The last one first, each twice, with one of somebody else in between.
    for (id, (_, topic, response, data)) in asked.iter().rev() {
        assert_eq!((topic.as_str(), response), ("plant/thermometer", &filter));
        let payload = id.to_string();
        for data in [data.as_slice(), &[7; 8], &[], data] {
            respond(&mut link, response, payload.as_bytes(), &[(PropertyId::CorrelationData, Binary(data))]);
        }
    }
    for (id, _) in asked.iter().rev() {
        assert_eq!(asker.ended(), (*id, Code::Ok, None, id.to_string().into_bytes()));
    }
    assert_eq!(client.conn.cancel_request(first), Err(Code::NotFound));
    assert!(asker.ends.try_recv().is_err());
}

/// Why the connection was lost, past what else handlers were told.
#[track_caller]
fn report_of_close(client: &Client) -> Report {
    loop {
        if let Told::Closed(report) = client.told() {
            return *report;
        }
    }
}

#[test]
fn a_request_ends_exactly_once_however_it_ends() {
    let server = Server::new();
    let (client, mut link) = server.connected(Settings::default(), &[]);
    let asker = Asker::new();
    let stays = asker.ask(&client, &query()).unwrap();
    subscribed(&mut link, 1);
    request(&mut link);
    // Refused by the server.
    let refused = asker.ask(&client, &query()).unwrap();
    let [high, low] = request(&mut link).0.to_be_bytes();
    link.write(&[0x40, 3, high, low, 0x87]);
    assert_eq!(asker.ended(), (refused, Code::PublishRefused, Some(0x87), vec![]));
    // Cancelled; that its message arrived is no end.
    let cancelled = asker.ask(&client, &query()).unwrap();
    let [high, low] = request(&mut link).0.to_be_bytes();
    link.write(&[0x40, 2, high, low]);
    client.conn.cancel_request(cancelled).unwrap();
    assert_eq!(asker.ended(), (cancelled, Code::Cancelled, None, vec![]));
    // Its time is over.
    let late = asker.ask(&client, &Query { timeout: Some(Span::millis(20)), ..query() }).unwrap();
    let (_, _, response, data) = request(&mut link);
    assert_eq!(asker.ended(), (late, Code::TimedOut, None, vec![]));
    respond(&mut link, &response, b"late", &[(PropertyId::CorrelationData, Binary(&data))]);
    // The link is lost: only one of the two minds. The other is sent again.
    let with_link = asker.ask(&client, &Query { ends_with_link: true, ..query() }).unwrap();
    request(&mut link);
    drop(link);
    let (ended, error, ..) = asker.ended();
    assert_eq!(ended, with_link);
    let report = report_of_close(&client);
    assert_eq!(error, report.code);
    // Without a connection QoS 0 is refused at once, and what is not sent in time is not sent any more.
    let once = Query { message: Publication::new("t", b"?", Q0), ..query() };
    assert_eq!(asker.ask(&client, &once), Err(Code::NotConnected));
    assert!(asker.ends.try_recv().is_err());
    client.conn.free(None);
    assert_eq!(asker.ended(), (stays, Code::Incomplete, None, vec![]));
}

/// The filter of the next UNSUBSCRIBE.
#[track_caller]
fn unsubscribed(link: &mut Link) -> String {
    link.next(|packet| match packet {
        Packet::Unsubscribe(unsubscribe) => unsubscribe.filters().next().unwrap().to_owned(),
        other => panic!("{other:?}"),
    })
}

/// The payload of the next PUBLISH, which is acknowledged.
#[track_caller]
fn published(link: &mut Link) -> Vec<u8> {
    let (id, payload) = link.next(|packet| match packet {
        Packet::Publish(publish) => (publish.packet_id, publish.payload.to_vec()),
        other => panic!("{other:?}"),
    });
    let [high, low] = id.to_be_bytes();
    link.write(&[0x40, 2, high, low]);
    payload
}

#[test]
fn a_subscription_that_is_refused_ends_its_requests() {
    let server = Server::new();
    // The second message waits for the acknowledgement of the first.
    let window = [(PropertyId::ReceiveMaximum, TwoByte(1))];
    let (client, mut link) = server.connected(Settings::default(), &window);
    let asker = Asker::new();
    let ids = [b"1", b"2"].map(|payload| {
        let message = Publication::new("t", payload, Q1);
        asker.ask(&client, &Query { message, ..query() }).unwrap()
    });
    let filter = subscribed(&mut link, 0x87);
    for id in ids {
        assert_eq!(asker.ended(), (id, Code::SubscribeRefused, Some(0x87), vec![]));
    }
    // The next one asks for the subscription again. What was not sent of the others is not sent any more.
    let id = asker.ask(&client, &query()).unwrap();
    assert_eq!(published(&mut link), b"1");
    assert_eq!(unsubscribed(&mut link), filter);
    assert_eq!(subscribed(&mut link, 1), filter);
    let (_, _, response, data) = request(&mut link);
    respond(&mut link, &response, b"21", &[(PropertyId::CorrelationData, Binary(&data))]);
    assert_eq!(asker.ended(), (id, Code::Ok, None, b"21".to_vec()));
}

#[test]
fn what_ends_with_the_link_is_not_sent_on_the_next() {
    let server = Server::new();
    let window = [(PropertyId::ReceiveMaximum, TwoByte(1))];
    let (client, mut link) = server.connected(Settings::default(), &window);
    let asker = Asker::new();
    let ids = [b"1", b"2", b"3"].map(|payload| {
        let message = Publication::new("t", payload, Q1);
        let ends_with_link = payload != b"3";
        asker.ask(&client, &Query { message, ends_with_link, ..query() }).unwrap()
    });
    let filter = subscribed(&mut link, 1);
    assert_eq!(request(&mut link).2, filter);
    drop(link);
    let code = report_of_close(&client).code;
    for id in &ids[..2] {
        assert_eq!(asker.ended(), (*id, code, None, vec![]));
    }
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    link.connack(false, 0, &window);
    assert_eq!(subscribed(&mut link, 1), filter);
    // The first was on its way.
    assert_eq!([published(&mut link), published(&mut link)], [b"1", b"3"]);
}

#[test]
fn a_response_topic_that_is_not_used_any_more_is_left() {
    let server = Server::new();
    let most = [(PropertyId::MaximumPacketSize, FourByte(1000))];
    let (client, mut link) = server.connected(Settings::default(), &most);
    let asker = Asker::new();
    let topics = ["r/1", "r/2", "r/3"];
    for (at, topic) in topics.iter().enumerate() {
        let id = asker.ask(&client, &Query { response_topic: Some(topic), ..query() }).unwrap();
        assert_eq!(subscribed(&mut link, 1), *topic);
        let data = request(&mut link).3;
        if at > 0 {
            assert_eq!(unsubscribed(&mut link), topics[at - 1]);
        }
        respond(&mut link, topic, b"21", &[(PropertyId::CorrelationData, Binary(&data))]);
        assert_eq!(asker.ended(), (id, Code::Ok, None, b"21".to_vec()));
    }
    // Nor does a request stay behind that is not accepted.
    let large = Publication::new("t", &[0; 1000], Q1);
    let refused = Query { message: large, response_topic: Some("r/4"), ..query() };
    assert_eq!(asker.ask(&client, &refused), Err(Code::TooLarge));
    assert_eq!(subscribed(&mut link, 1), "r/4");
    assert_eq!(unsubscribed(&mut link), "r/3");
    asker.ask(&client, &query()).unwrap();
    subscribed(&mut link, 1);
    request(&mut link);
    assert_eq!(unsubscribed(&mut link), "r/4");
}

/// A session that the server kept has the subscription of the next process already.
#[test]
fn the_response_topic_follows_from_the_client_id() {
    let server = Server::new();
    let topic = |id: Option<&str>| {
        let profile = Profile { client_id: id.map(String::from), ..profile(server.address()) };
        let (client, mut link) = server.connected_as(profile, Settings::default(), &[]);
        Asker::new().ask(&client, &query()).unwrap();
        subscribed(&mut link, 1)
    };
    assert_eq!(topic(Some("a")), topic(Some("a")));
    assert_ne!(topic(Some("a")), topic(Some("b")));
    assert_ne!(topic(None), topic(None));
}

#[test]
fn a_response_information_that_is_no_topic_is_passed_over() {
    for information in ["", "/", "a/#", "+"] {
        let server = Server::new();
        let list = [(PropertyId::ResponseInformation, Utf8(information))];
        let (client, mut link) = server.connected(Settings::default(), &list);
        Asker::new().ask(&client, &query()).unwrap();
        let filter = subscribed(&mut link, 1);
        assert!(filter.starts_with("mgos/response/"), "{information:?}: {filter}");
        assert_eq!(request(&mut link).2, filter);
    }
}

#[test]
fn a_message_that_expires_before_the_request_says_so() {
    let server = Server::new();
    let client = Client::new(profile(server.address()), Settings::default());
    let asker = Asker::new();
    for (of_message, of_request, error) in [
        (Some(10), None, Code::Expired),
        (Some(10), Some(60_000), Code::Expired),
        (Some(60_000), Some(10), Code::TimedOut),
    ] {
        let mut asked = Query { timeout: of_request.map(Span::millis), ..query() };
        asked.message.expires = of_message.map(|ms| client.driver.now() + Span::millis(ms));
        let id = asker.ask(&client, &asked).unwrap();
        assert_eq!(asker.ended(), (id, error, None, vec![]));
    }
}

/// Without a version there is no form for a request.
#[test]
fn with_any_version_there_is_no_request_before_the_first_connack() {
    let server = Server::new();
    let any = Profile { protocol: Protocol::Auto, ..profile(server.address()) };
    let client = Client::new(any, Settings::default());
    let asker = Asker::new();
    assert_eq!(asker.ask(&client, &query()), Err(Code::NotConnected));
    client.conn.connect().unwrap();
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    assert_eq!(asker.ask(&client, &query()), Err(Code::NotConnected));
    link.connack(false, 0, &[]);
    client.up();
    asker.ask(&client, &query()).unwrap();
    let filter = subscribed(&mut link, 1);
    assert_eq!(request(&mut link).2, filter);
    // It is known from now on.
    drop(link);
    report_of_close(&client);
    asker.ask(&client, &query()).unwrap();
}

/// A listener that refuses the response; what it is told instead of the error is what that said.
fn refuse(conn: &Conn, event: &Event<'_>, words: RawArgs) {
    let Event::Response { id, message, .. } = event else { panic!("{event:?}") };
    let error = conn.refuse(0x80).err().unwrap_or(Code::Ok);
    tell(conn, &Event::Response { id: *id, error, reason: None, message: *message }, words);
}

#[test]
fn a_response_cannot_be_refused() {
    let server = Server::new();
    let settings = Settings { refuse_delay: Span::millis(1), ..Settings::default() };
    let (client, mut link) = server.connected(settings, &[]);
    let asker = Asker::new();
    let words = [ptr::without_provenance_mut(asker.place), ptr::null_mut(), ptr::null_mut()];
    let id = Cell::new(0);
    client.conn.request(&query(), Listener::new(refuse, words), &id).unwrap();
    subscribed(&mut link, 1);
    let (_, _, topic, data) = request(&mut link);
    respond(&mut link, &topic, b"21", &[(PropertyId::CorrelationData, Binary(&data))]);
    assert_eq!(asker.ended(), (id.get(), Code::NotFound, None, b"21".to_vec()));
    // Any other message can.
    let (tell, told) = channel();
    let (tell, conn) = (Mutex::new(tell), Arc::downgrade(&client.conn));
    let handler = Tell(move |event: &Event<'_>| {
        if let (Event::Message(message), Some(conn)) = (event, conn.upgrade()) {
            let refused = if message.attempt == 1 { conn.refuse(0x80) } else { Ok(()) };
            let _ = tell.lock().unwrap().send((message.attempt, refused));
        }
    });
    client.conn.subscribe("other", Q1, Identity(9, 9), Kind::Message.bit(), Box::new(handler)).unwrap();
    subscribed(&mut link, 1);
    respond(&mut link, "other", b"x", &[]);
    assert_eq!(told.recv_timeout(LONG).unwrap(), (1, Ok(())));
    assert_eq!(told.recv_timeout(LONG).unwrap(), (2, Ok(())));
}

#[test]
fn the_server_and_the_application_may_say_where_responses_go() {
    let server = Server::new();
    let information = [(PropertyId::ResponseInformation, Utf8("clients/7/"))];
    let (client, mut link) = server.connected(Settings::default(), &information);
    let asker = Asker::new();
    asker.ask(&client, &query()).unwrap();
    assert_eq!(subscribed(&mut link, 1), "clients/7/response");
    assert_eq!(request(&mut link).2, "clients/7/response");
    // By hand, beside properties of the application; what only the library may say is refused.
    let unit = [(PropertyId::UserProperty, Pair("unit", "K"))];
    let by_hand = || Query { response_topic: Some("by/hand"), ..query() };
    let mut with = by_hand();
    with.message.properties = Properties::from_list(&unit);
    let id = asker.ask(&client, &with).unwrap();
    assert_eq!(subscribed(&mut link, 1), "by/hand");
    let data = link.next(|packet| {
        let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
        assert_eq!(publish.properties.get(PropertyId::UserProperty), Some(Pair("unit", "K")));
        assert_eq!(publish.properties.text(PropertyId::ResponseTopic), Some("by/hand"));
        publish.properties.get(PropertyId::CorrelationData).map(|data| format!("{data:?}"))
    });
    assert!(data.is_some());
    let own = [(PropertyId::ResponseTopic, Utf8("x"))];
    with.message.properties = Properties::from_list(&own);
    assert_eq!(asker.ask(&client, &with), Err(Code::BadProperty));
    assert_eq!(asker.ask(&client, &Query { response_topic: Some("a/+"), ..query() }), Err(Code::BadTopic));
    // The last one used stays; one that was used before goes with its last request.
    asker.ask(&client, &query()).unwrap();
    request(&mut link);
    client.conn.cancel_request(id).unwrap();
    assert_eq!(unsubscribed(&mut link), "by/hand");
}

/// What a handler of messages learns about where responses go.
fn responder(client: &Client, filter: &str) -> Receiver<Option<ReplyTo>> {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let handler = Tell(move |event: &Event<'_>| {
        if let Event::Message(message) = event {
            let _ = tell.lock().unwrap().send(ReplyTo::of(message).ok());
        }
    });
    client.conn.subscribe(filter, Q1, Identity(9, 9), Kind::Message.bit(), Box::new(handler)).unwrap();
    told
}

#[test]
fn a_response_goes_where_the_request_says_and_carries_its_data() {
    let server = Server::new();
    let (client, mut link) = server.connected(Settings::default(), &[]);
    let told = responder(&client, "plant/#");
    subscribed(&mut link, 1);
    let data = Binary(b"any\0thing");
    let list = [(PropertyId::CorrelationData, data), (PropertyId::ResponseTopic, Utf8("there"))];
    respond(&mut link, "plant/a", b"?", &list);
    respond(&mut link, "plant/a", b"?", &list[1..]);
    respond(&mut link, "plant/a", b"?", &list[..1]);
    let unit = [(PropertyId::UserProperty, Pair("unit", "K"))];
    let (old, mut old_link) = connected_old(&server);
    for expected in [Some(data), None] {
        let to = told.recv_timeout(LONG).unwrap().unwrap();
        // In an older version there are no data by which the requester would know the response.
        let sent = old.conn.reply(&to, Publication::new("", b"21", Q0), None, &Cell::new(0));
        assert_eq!(sent, if expected.is_some() { Err(Code::NeedsV5) } else { Ok(()) });
        let message =
            Publication { properties: Properties::from_list(&unit), ..Publication::new("", b"21", Q0) };
        client.conn.reply(&to, message, None, &Cell::new(0)).unwrap();
        link.next(|packet| {
            let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
            assert_eq!((publish.topic, publish.payload), ("there", &b"21"[..]));
            assert_eq!(publish.properties.get(PropertyId::CorrelationData), expected);
            assert_eq!(publish.properties.get(PropertyId::UserProperty), Some(Pair("unit", "K")));
        });
    }
    assert_eq!(request(&mut old_link).1, "there");
    assert_eq!(told.recv_timeout(LONG).unwrap(), None);
}

/// A client of MQTT 3.1.1, connected.
fn connected_old(server: &Server) -> (Client, Link) {
    let old = Profile { protocol: Protocol::V311, ..profile(server.address()) };
    let client = Client::new(old, Settings::default());
    client.conn.connect().unwrap();
    let mut link = server.accept_old();
    link.expect(PacketType::Connect);
    link.write(&[0x20, 2, 0, 0]);
    client.up();
    (client, link)
}

#[test]
fn the_older_version_says_it_by_its_topics() {
    let server = Server::new();
    let (client, mut link) = connected_old(&server);
    let asker = Asker::new();
    let id = asker.ask(&client, &query()).unwrap();
    let filter = {
        let subscribe = link.expect(PacketType::Subscribe);
        link.write(&[0x90, 3, subscribe[2], subscribe[3], 1]);
        String::from_utf8(subscribe[6..subscribe.len() - 1].to_vec()).unwrap()
    };
    let (_, topic, ..) = request(&mut link);
    let name = filter.strip_prefix("mgos/response/").and_then(|rest| rest.strip_suffix("/+")).unwrap();
    assert_eq!(topic, format!("plant/thermometer/{name}/{id:016x}"));
    // The other side, here on the same connection, needs the topic alone.
    let told = responder(&client, "plant/thermometer/+/+");
    let subscribe = link.expect(PacketType::Subscribe);
    link.write(&[0x90, 3, subscribe[2], subscribe[3], 1]);
    respond(&mut link, &topic, b"?", &[]);
    let to = told.recv_timeout(LONG).unwrap().unwrap();
    client.conn.reply(&to, Publication::new("", b"21", Q0), None, &Cell::new(0)).unwrap();
    let (_, response, ..) = request(&mut link);
    assert_eq!(response, format!("mgos/response/{name}/{id:016x}"));
    respond(&mut link, &response, b"21", &[]);
    assert_eq!(asker.ended(), (id, Code::Ok, None, b"21".to_vec()));
    // What is of MQTT 5.0 is refused, and what only looks like a request is none.
    assert_eq!(asker.ask(&client, &Query { response_topic: Some("x"), ..query() }), Err(Code::NeedsV5));
    respond(&mut link, &format!("plant/thermometer/{name}/x"), b"?", &[]);
    assert_eq!(told.recv_timeout(LONG).unwrap(), None);
    // Nor is a response one.
    let told = responder(&client, "mgos/response/+/+");
    respond(&mut link, &response, b"?", &[]);
    assert_eq!(told.recv_timeout(LONG).unwrap(), None);
}
