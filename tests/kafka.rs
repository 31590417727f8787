use crate::support::kafka::Broker;

#[test]
fn what_is_written_can_be_read() {
    let Some(broker) = Broker::shared() else { return };
    let topic = broker.create_topic("smoke", 2);
    broker.produce(&topic, 0, ["a", "b"]);
    broker.produce(&topic, 1, ["c"]);
    let stored = broker.read_all(&topic);
    let texts: Vec<&str> = stored.iter().map(|it| it.text()).collect();
    assert_eq!(texts, ["a", "b", "c"]);
    assert_eq!(broker.committed(&broker.name("g"), &topic), [None, None]);
    broker.delete_records(&topic, 0, 1);
    assert_eq!(broker.read_all(&topic).len(), 2);
}

#[test]
fn old() {
    let Some(broker) = Broker::start_zookeeper_era() else { return };
    let topic = broker.create_topic("smoke", 2);
    broker.produce(&topic, 0, ["a", "b"]);
    assert_eq!(broker.read_all(&topic).len(), 2);
}

#[test]
fn restart() {
    let Some(mut broker) = Broker::start() else { return };
    let topic = broker.create_topic("smoke", 2);
    broker.produce(&topic, 0, ["a", "b"]);
    broker.stop();
    broker.restart();
    assert_eq!(broker.read_all(&topic).len(), 2);
    broker.kill();
    broker.restart();
    assert_eq!(broker.read_all(&topic).len(), 2);
}
