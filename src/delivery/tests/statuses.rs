//! Receipts, from the provider to the platform.

use super::*;
use crate::message::{IdOwner, Status};

fn receipt(id: &str, status: Status) -> Receipt {
    Receipt {
        channel: "c".into(),
        id: id.into(),
        id_owner: IdOwner::Provider,
        status,
        error: None,
        at: START,
        post: StatusSet::default(),
    }
}

fn told(carrier: &Script) -> Vec<String> {
    let seen = carrier.seen();
    let inbound = seen.iter().filter(|it| it.delivery.lane.direction == Direction::Inbound);
    inbound
        .map(|it| {
            let event: serde_json::Value = serde_json::from_slice(&it.delivery.payload).unwrap();
            format!("{} {}", event["id"].as_str().unwrap(), event["status"].as_str().unwrap())
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_status_that_overtakes_the_answer_waits_and_parts_are_folded() {
    let ids = vec![vec!["p1".to_owned(), "name of p1".to_owned()], vec!["p2".to_owned()]];
    let carrier = Script::new(move |_, n| {
        (ms(500), Outcome::Sent { ids: if n == 0 { ids.clone() } else { vec![] }, rest: None })
    });
    let rig = Rig::start(&unlimited(), &carrier);
    rig.accept([("a", "1".to_owned())]).await;
    tokio::time::sleep(ms(100)).await;
    let receive = |receipts| rig.store.accept(Acceptance { at: START, receipts, ..Acceptance::default() });
    receive(vec![receipt("p1", Status::Delivered), receipt("p2", Status::Delivered)]).await.unwrap();
    assert!(told(&carrier).is_empty(), "the send is still under way");
    tokio::time::sleep(ms(1000)).await;
    assert_eq!(told(&carrier), ["1 delivered"]);
    receive(vec![receipt("name of p1", Status::Read)]).await.unwrap();
    rig.until_done().await;
    receive(vec![receipt("p2", Status::Read), receipt("p2", Status::Delivered)]).await.unwrap();
    rig.until_done().await;
    assert_eq!(told(&carrier), ["1 delivered", "1 read"]);
    rig.stop(ms(100)).await;
}
