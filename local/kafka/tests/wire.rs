//! What goes over the wire, where clients of today would not show it.

use bytes::Bytes;
use tansu_sans_io::join_group_request::JoinGroupRequestProtocol;
use tansu_sans_io::{ApiKey as _, Body, Frame, Header, JoinGroupRequest};
use tokio::net::TcpStream;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn records_that_nobody_waits_for_are_stored_and_not_answered() {
    let broker = broker().await;
    create(&broker, "t", 1).await.unwrap();
    let mut config = client(&broker);
    config.set("acks", "0").set("linger.ms", "0").set("enable.idempotence", "false");
    let producer: FutureProducer = config.create().unwrap();
    // An answer that nobody expects would be taken for that of the next request.
    for n in 0..20 {
        let body = n.to_string();
        let record = FutureRecord::<(), _>::to("t").payload(&body).partition(0);
        producer.send(record, PATIENCE).await.unwrap();
    }
    assert_eq!(numbers(&assigned(&broker, "t", Offset::Beginning), 20).await, (0..20).collect::<Vec<_>>());
    let metadata =
        rdkafka::producer::Producer::client(&producer).fetch_metadata(Some("t"), PATIENCE).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 1);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_from_before_invitations_joins_at_once() {
    let broker = broker().await;
    for version in [0, 2, 3] {
        let header = Header::Request {
            api_key: JoinGroupRequest::KEY,
            api_version: version,
            correlation_id: 1,
            client_id: Some("old".into()),
        };
        let protocol =
            JoinGroupRequestProtocol::default().name("range".into()).metadata(Bytes::from_static(b"t"));
        let ask = JoinGroupRequest::default()
            .group_id(format!("g{version}"))
            .session_timeout_ms(10_000)
            .rebalance_timeout_ms(Some(10_000).filter(|_| version > 0))
            .member_id(String::new())
            .protocol_type("consumer".into())
            .protocols(Some(vec![protocol]));
        let mut socket = TcpStream::connect(broker.address()).await.unwrap();
        socket.write_all(&Frame::request(header, ask.into()).unwrap()).await.unwrap();
        let mut length = [0; 4];
        timeout(PATIENCE, socket.read_exact(&mut length)).await.expect("an answer").unwrap();
        let mut answer = length.to_vec();
        answer.resize(4 + u32::from_be_bytes(length) as usize, 0);
        socket.read_exact(&mut answer[4..]).await.unwrap();
        let answer = Frame::response_from_bytes(Bytes::from(answer), JoinGroupRequest::KEY, version).unwrap();
        let Body::JoinGroupResponse(joined) = answer.body else { panic!("{:?}", answer.body) };
        assert_eq!((joined.error_code, joined.generation_id), (0, 0), "version {version}: {joined:?}");
        assert_eq!(joined.leader, joined.member_id);
    }
    broker.stop().await;
}
