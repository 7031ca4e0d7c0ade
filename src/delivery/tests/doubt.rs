//! What the other side may have taken, which nobody knows.

use super::*;

fn holding() -> LaneSettings {
    LaneSettings { hold_doubtful: true, ..unlimited() }
}

fn timeout() -> Outcome {
    let fault = Fault { code: "timeout".into(), message: "no response in time".into() };
    Outcome::Retry { after: None, fault, progress: None }
}

async fn states(rig: &Rig) -> Vec<(String, State)> {
    let records = rig.store.list(Filter::default()).await.unwrap();
    records.into_iter().rev().map(|it| (it.delivery.mid.to_string(), it.state)).collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_not_answered_is_held_or_sent_again_and_the_next_one_goes() {
    for (settings, expected, attempts) in [(holding(), State::Held, 2), (unlimited(), State::Sent, 3)] {
        let carrier = Script::new(|_, n| (ms(1), if n == 0 { timeout() } else { sent() }));
        let rig = Rig::start(&settings, &carrier);
        rig.accept([("a", "1".to_owned()), ("a", "2".to_owned())]).await;
        rig.until_done().await;
        assert_eq!(states(&rig).await, [("1".into(), expected), ("2".into(), State::Sent)]);
        assert_eq!(carrier.seen().len(), attempts);
        rig.stop(ms(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_failed_with_an_answer_is_in_no_doubt() {
    let carrier = Script::new(|_, n| (ms(1), if n == 0 { retry() } else { sent() }));
    let rig = Rig::start(&holding(), &carrier);
    rig.accept([("a", "1".to_owned())]).await;
    rig.until_done().await;
    assert_eq!(states(&rig).await, [("1".into(), State::Sent)]);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_a_process_did_not_survive_is_held_by_the_next_one_until_an_operator_decides() {
    let carrier = Script::new(|_, n| (if n == 0 { ms(60_000) } else { ms(10) }, sent()));
    let rig = Rig::start(&holding(), &carrier);
    rig.accept([("a", "1".to_owned())]).await;
    tokio::time::sleep(ms(100)).await;
    let folder = rig.stop(ms(0)).await;
    let rig = Rig::start_in(folder, world(), &holding(), &carrier, 4096);
    rig.accept([("a", "2".to_owned())]).await;
    rig.until_done().await;
    assert_eq!(states(&rig).await, [("1".into(), State::Held), ("2".into(), State::Sent)]);
    assert_eq!(rig.store.counts().await.unwrap().held, 1);
    assert_eq!(carrier.sent(Direction::Outbound), ["2"]);
    let held = rig.store.list(Filter { states: vec![State::Held], ..Filter::default() }).await.unwrap();
    rig.store.retry(vec![held[0].delivery.id], 0).await.unwrap();
    rig.until_done().await;
    assert_eq!(carrier.sent(Direction::Outbound), ["2", "1"]);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn what_waited_for_its_turn_when_a_process_ended_is_in_no_doubt() {
    let carrier = Script::new(|_, n| (if n == 0 { ms(60_000) } else { ms(10) }, sent()));
    let settings = LaneSettings { in_flight: 1, ..holding() };
    let rig = Rig::start(&settings, &carrier);
    rig.accept([("a", "1".to_owned()), ("b", "2".to_owned())]).await;
    tokio::time::sleep(ms(100)).await;
    let folder = rig.stop(ms(0)).await;
    let rig = Rig::start_in(folder, world(), &settings, &carrier, 4096);
    rig.until_done().await;
    assert_eq!(states(&rig).await, [("1".into(), State::Held), ("2".into(), State::Sent)]);
    rig.stop(ms(100)).await;
}
