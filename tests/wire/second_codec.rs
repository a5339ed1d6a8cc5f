//! A codec of other authors (mqtt-protocol-core), which knows MQTT 3.1.1 and 5.0: the packets that `round_trip.rs`
//! generates are built with it once more, by value, and both have to write the same bytes and to read them as the same
//! packet.

use mgos_mqtt::wire::{
    Ack, Packet, PacketType, Properties as OurProperties, PropertyId, PropertyValue, QoS, RetainHandling,
    SubscribeOptions, Version,
};
use mqtt_protocol_core::mqtt::packet::{
    self as theirs, Properties, Property, SubEntry, SubOpts, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::MqttError;
use proptest::prelude::*;

/// Whether bytes are read as what they should be.
type Reads = dyn Fn(&[u8]) -> bool;

/// What the other codec makes of a packet: its bytes, and whether it reads bytes as the same packet.
struct Theirs {
    bytes: Vec<u8>,
    reads: Box<Reads>,
}

/// `Theirs` of a packet that they have built; they parse what stands behind the fixed header.
macro_rules! theirs {
    ($built:expr, $parse:expr) => {{
        let built = $built?;
        let bytes = built.to_continuous_buffer();
        let parse = $parse;
        let reads = Box::new(move |body: &[u8]| parse(body).is_ok_and(|(packet, _)| packet == built));
        Theirs { bytes, reads }
    }};
}

/// Whether the two agree on a packet that was written as `bytes`. They have no MQTT 3.1.
pub(crate) fn agree(version: Version, packet: &Packet<'_>, bytes: &[u8]) -> Result<(), TestCaseError> {
    if is_odd(version, packet) {
        return Ok(());
    }
    let found = match version {
        Version::V31 => return Ok(()),
        Version::V311 => build_3(packet, bytes[0]),
        Version::V5 => build_5(packet, bytes[0]),
    };
    let found = found.map_err(|error| TestCaseError::fail(format!("they refuse {packet:?}: {error:?}")))?;
    prop_assert_eq!(&found.bytes[..], bytes, "{:?}", packet);
    let header = mgos_mqtt::wire::Header::parse_as(version, bytes).unwrap().unwrap();
    let body = &bytes[usize::from(header.header_len)..];
    prop_assert!((found.reads)(body), "they read another packet: {packet:?}");
    // That these bytes are this packet to us is compared by the round trip.
    Ok(())
}

/// What they refuse, and MQTT allows: in 5.0 a password without a user name (§3.1.2.9), and DISCONNECT with 0x8C, which
/// stands in one of two lists (§2.4, not §3.14.2.1); in 3.1.1 a return code that nobody has given a meaning yet.
fn is_odd(version: Version, packet: &Packet<'_>) -> bool {
    match packet {
        Packet::Connect(connect) => connect.password.is_some() && connect.user_name.is_none(),
        Packet::ConnAck(connack) => version == Version::V311 && connack.code > 5,
        Packet::Disconnect(disconnect) => disconnect.reason == 0x8c,
        _ => false,
    }
}

fn qos(qos: QoS) -> theirs::Qos {
    match qos {
        QoS::AtMostOnce => theirs::Qos::AtMostOnce,
        QoS::AtLeastOnce => theirs::Qos::AtLeastOnce,
        QoS::ExactlyOnce => theirs::Qos::ExactlyOnce,
    }
}

fn entry(filter: &str, options: SubscribeOptions) -> Result<SubEntry, MqttError> {
    let handling = match options.retain_handling {
        RetainHandling::Send => theirs::RetainHandling::SendRetained,
        RetainHandling::SendIfNew => theirs::RetainHandling::SendRetainedIfNotExists,
        RetainHandling::DoNotSend => theirs::RetainHandling::DoNotSendRetained,
    };
    let opts = SubOpts::new().set_qos(qos(options.qos)).set_nl(options.no_local);
    SubEntry::new(filter, opts.set_rap(options.retain_as_published).set_rh(handling))
}

fn code<T: TryFrom<u8>>(code: u8) -> Result<T, MqttError> {
    T::try_from(code).map_err(|_| MqttError::MalformedPacket)
}

fn codes<T: TryFrom<u8>>(list: &[u8]) -> Result<Vec<T>, MqttError> {
    list.iter().map(|byte| code(*byte)).collect()
}

fn build_3(packet: &Packet<'_>, first: u8) -> Result<Theirs, MqttError> {
    Ok(match packet {
        Packet::Connect(connect) => {
            let mut builder = v3_1_1::Connect::builder()
                .clean_session(connect.clean_session)
                .keep_alive(connect.keep_alive)
                .client_id(connect.client_id)?;
            if let Some(will) = connect.will {
                builder =
                    builder.will_message(will.topic, will.payload.to_vec(), qos(will.qos), will.retain)?;
            }
            if let Some(name) = connect.user_name {
                builder = builder.user_name(name)?;
            }
            if let Some(password) = connect.password {
                builder = builder.password(password.to_vec())?;
            }
            theirs!(builder.build(), v3_1_1::Connect::parse)
        }
        Packet::ConnAck(connack) => {
            let builder = v3_1_1::Connack::builder().session_present(connack.session_present);
            theirs!(builder.return_code(code(connack.code)?).build(), v3_1_1::Connack::parse)
        }
        Packet::Publish(publish) => {
            let mut builder = v3_1_1::Publish::builder()
                .topic_name(publish.topic)?
                .qos(qos(publish.qos))
                .dup(publish.dup)
                .retain(publish.retain)
                .payload(publish.payload.to_vec());
            if publish.qos != QoS::AtMostOnce {
                builder = builder.packet_id(publish.packet_id);
            }
            theirs!(builder.build(), move |body: &[u8]| v3_1_1::Publish::parse(first & 0x0f, body.into()))
        }
        Packet::PubAck(ack) => {
            theirs!(v3_1_1::Puback::builder().packet_id(ack.packet_id).build(), v3_1_1::Puback::parse)
        }
        Packet::PubRec(ack) => {
            theirs!(v3_1_1::Pubrec::builder().packet_id(ack.packet_id).build(), v3_1_1::Pubrec::parse)
        }
        Packet::PubRel(ack) => {
            theirs!(v3_1_1::Pubrel::builder().packet_id(ack.packet_id).build(), v3_1_1::Pubrel::parse)
        }
        Packet::PubComp(ack) => {
            theirs!(v3_1_1::Pubcomp::builder().packet_id(ack.packet_id).build(), v3_1_1::Pubcomp::parse)
        }
        Packet::Subscribe(subscribe) => {
            let entries = subscribe.filters().map(|(f, o)| entry(f, o)).collect::<Result<Vec<_>, _>>()?;
            let builder = v3_1_1::Subscribe::builder().packet_id(subscribe.packet_id).entries(entries);
            theirs!(builder.build(), v3_1_1::Subscribe::parse)
        }
        Packet::SubAck(ack) => {
            let builder = v3_1_1::Suback::builder().packet_id(ack.packet_id).return_codes(codes(ack.codes)?);
            theirs!(builder.build(), v3_1_1::Suback::parse)
        }
        Packet::Unsubscribe(unsubscribe) => {
            let builder = v3_1_1::Unsubscribe::builder().packet_id(unsubscribe.packet_id);
            let filters = unsubscribe.filters().map(str::to_owned);
            theirs!(builder.entries(filters)?.build(), v3_1_1::Unsubscribe::parse)
        }
        Packet::UnsubAck(ack) => {
            theirs!(v3_1_1::Unsuback::builder().packet_id(ack.packet_id).build(), v3_1_1::Unsuback::parse)
        }
        Packet::PingReq => theirs!(v3_1_1::Pingreq::builder().build(), v3_1_1::Pingreq::parse),
        Packet::PingResp => theirs!(v3_1_1::Pingresp::builder().build(), v3_1_1::Pingresp::parse),
        Packet::Disconnect(_) => theirs!(v3_1_1::Disconnect::builder().build(), v3_1_1::Disconnect::parse),
        Packet::Auth(_) => unreachable!("MQTT 3.1.1 has no AUTH"),
    })
}

/// A builder that has a reason code and properties, each only if the packet needs it: the short forms.
macro_rules! with_reason {
    ($builder:expr, $ack:expr) => {{
        let mut builder = $builder;
        if $ack.reason != 0 || !$ack.properties.is_empty() {
            builder = builder.reason_code(code($ack.reason)?);
        }
        if !$ack.properties.is_empty() {
            builder = builder.props(properties(&$ack.properties)?);
        }
        builder
    }};
}

fn ack_5(packet: PacketType, ack: &Ack<'_>) -> Result<Theirs, MqttError> {
    let id = ack.packet_id;
    Ok(match packet {
        PacketType::PubAck => {
            theirs!(with_reason!(v5_0::Puback::builder().packet_id(id), ack).build(), v5_0::Puback::parse)
        }
        PacketType::PubRec => {
            theirs!(with_reason!(v5_0::Pubrec::builder().packet_id(id), ack).build(), v5_0::Pubrec::parse)
        }
        PacketType::PubRel => {
            theirs!(with_reason!(v5_0::Pubrel::builder().packet_id(id), ack).build(), v5_0::Pubrel::parse)
        }
        _ => theirs!(with_reason!(v5_0::Pubcomp::builder().packet_id(id), ack).build(), v5_0::Pubcomp::parse),
    })
}

fn build_5(packet: &Packet<'_>, first: u8) -> Result<Theirs, MqttError> {
    Ok(match packet {
        Packet::Connect(connect) => {
            let mut builder = v5_0::Connect::builder()
                .clean_start(connect.clean_session)
                .keep_alive(connect.keep_alive)
                .props(properties(&connect.properties)?)
                .client_id(connect.client_id)?;
            if let Some(will) = connect.will {
                builder = builder
                    .will_message(will.topic, will.payload.to_vec(), qos(will.qos), will.retain)?
                    .will_props(properties(&will.properties)?);
            }
            if let Some(name) = connect.user_name {
                builder = builder.user_name(name)?;
            }
            if let Some(password) = connect.password {
                builder = builder.password(password.to_vec())?;
            }
            theirs!(builder.build(), v5_0::Connect::parse)
        }
        Packet::ConnAck(connack) => {
            let builder = v5_0::Connack::builder().session_present(connack.session_present);
            let builder = builder.reason_code(code(connack.code)?).props(properties(&connack.properties)?);
            theirs!(builder.build(), v5_0::Connack::parse)
        }
        Packet::Publish(publish) => {
            let mut builder = v5_0::Publish::builder()
                .topic_name(publish.topic)?
                .qos(qos(publish.qos))
                .dup(publish.dup)
                .retain(publish.retain)
                .props(properties(&publish.properties)?)
                .payload(publish.payload.to_vec());
            if publish.qos != QoS::AtMostOnce {
                builder = builder.packet_id(publish.packet_id);
            }
            theirs!(builder.build(), move |body: &[u8]| v5_0::Publish::parse(first & 0x0f, body.into()))
        }
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            ack_5(packet.packet_type(), ack)?
        }
        Packet::Subscribe(subscribe) => {
            let entries = subscribe.filters().map(|(f, o)| entry(f, o)).collect::<Result<Vec<_>, _>>()?;
            let builder = v5_0::Subscribe::builder().packet_id(subscribe.packet_id).entries(entries);
            theirs!(builder.props(properties(&subscribe.properties)?).build(), v5_0::Subscribe::parse)
        }
        Packet::SubAck(ack) => {
            let builder = v5_0::Suback::builder().packet_id(ack.packet_id).reason_codes(codes(ack.codes)?);
            theirs!(builder.props(properties(&ack.properties)?).build(), v5_0::Suback::parse)
        }
        Packet::Unsubscribe(unsubscribe) => {
            let builder = v5_0::Unsubscribe::builder().packet_id(unsubscribe.packet_id);
            let builder = builder.entries(unsubscribe.filters().map(str::to_owned))?;
            theirs!(builder.props(properties(&unsubscribe.properties)?).build(), v5_0::Unsubscribe::parse)
        }
        Packet::UnsubAck(ack) => {
            let builder = v5_0::Unsuback::builder().packet_id(ack.packet_id).reason_codes(codes(ack.codes)?);
            theirs!(builder.props(properties(&ack.properties)?).build(), v5_0::Unsuback::parse)
        }
        Packet::PingReq => theirs!(v5_0::Pingreq::builder().build(), v5_0::Pingreq::parse),
        Packet::PingResp => theirs!(v5_0::Pingresp::builder().build(), v5_0::Pingresp::parse),
        Packet::Disconnect(disconnect) => {
            let builder = with_reason!(v5_0::Disconnect::builder(), disconnect);
            theirs!(builder.build(), v5_0::Disconnect::parse)
        }
        Packet::Auth(auth) => theirs!(with_reason!(v5_0::Auth::builder(), auth).build(), v5_0::Auth::parse),
    })
}

fn properties(block: &OurProperties<'_>) -> Result<Properties, MqttError> {
    block.iter().map(|(id, value)| property(id, value)).collect()
}

/// A property with the type that its identifier has in their code.
fn property(id: PropertyId, value: PropertyValue<'_>) -> Result<Property, MqttError> {
    use PropertyValue::{Binary, Byte, FourByte, Pair, TwoByte, Utf8, VarInt};
    macro_rules! one {
        ($name:ident($value:expr)) => {
            theirs::$name::new($value).map(Property::$name)
        };
    }
    match (id, value) {
        (PropertyId::PayloadFormatIndicator, Byte(0)) => {
            one!(PayloadFormatIndicator(theirs::PayloadFormat::Binary))
        }
        (PropertyId::PayloadFormatIndicator, Byte(_)) => {
            one!(PayloadFormatIndicator(theirs::PayloadFormat::String))
        }
        (PropertyId::MessageExpiryInterval, FourByte(n)) => one!(MessageExpiryInterval(n)),
        (PropertyId::ContentType, Utf8(text)) => one!(ContentType(text)),
        (PropertyId::ResponseTopic, Utf8(text)) => one!(ResponseTopic(text)),
        (PropertyId::CorrelationData, Binary(bytes)) => one!(CorrelationData(bytes.to_vec())),
        (PropertyId::SubscriptionIdentifier, VarInt(n)) => one!(SubscriptionIdentifier(n)),
        (PropertyId::SessionExpiryInterval, FourByte(n)) => one!(SessionExpiryInterval(n)),
        (PropertyId::AssignedClientIdentifier, Utf8(text)) => one!(AssignedClientIdentifier(text)),
        (PropertyId::ServerKeepAlive, TwoByte(n)) => one!(ServerKeepAlive(n)),
        (PropertyId::AuthenticationMethod, Utf8(text)) => one!(AuthenticationMethod(text)),
        (PropertyId::AuthenticationData, Binary(bytes)) => one!(AuthenticationData(bytes.to_vec())),
        (PropertyId::RequestProblemInformation, Byte(n)) => one!(RequestProblemInformation(n)),
        (PropertyId::WillDelayInterval, FourByte(n)) => one!(WillDelayInterval(n)),
        (PropertyId::RequestResponseInformation, Byte(n)) => one!(RequestResponseInformation(n)),
        (PropertyId::ResponseInformation, Utf8(text)) => one!(ResponseInformation(text)),
        (PropertyId::ServerReference, Utf8(text)) => one!(ServerReference(text)),
        (PropertyId::ReasonString, Utf8(text)) => one!(ReasonString(text)),
        (PropertyId::ReceiveMaximum, TwoByte(n)) => one!(ReceiveMaximum(n)),
        (PropertyId::TopicAliasMaximum, TwoByte(n)) => one!(TopicAliasMaximum(n)),
        (PropertyId::TopicAlias, TwoByte(n)) => one!(TopicAlias(n)),
        (PropertyId::MaximumQoS, Byte(n)) => one!(MaximumQos(n)),
        (PropertyId::RetainAvailable, Byte(n)) => one!(RetainAvailable(n)),
        (PropertyId::UserProperty, Pair(name, value)) => {
            theirs::UserProperty::new(name, value).map(Property::UserProperty)
        }
        (PropertyId::MaximumPacketSize, FourByte(n)) => one!(MaximumPacketSize(n)),
        (PropertyId::WildcardSubscriptionAvailable, Byte(n)) => one!(WildcardSubscriptionAvailable(n)),
        (PropertyId::SubscriptionIdentifierAvailable, Byte(n)) => one!(SubscriptionIdentifierAvailable(n)),
        (PropertyId::SharedSubscriptionAvailable, Byte(n)) => one!(SharedSubscriptionAvailable(n)),
        other => panic!("there is no line for it here, or its value has the wrong type: {other:?}"),
    }
}
