use novaedge_publish::Publisher;
use novaedge_subscribe::{Origin, Phase};

use crate::harness::{Agent, ControlPlane, config, last_good, names};

#[tokio::test]
async fn an_agent_starts_from_disk_and_gets_the_difference() {
    let directory = tempfile::tempdir().unwrap();
    let control_plane = ControlPlane::start().await;
    let address = control_plane.address;
    control_plane.publish(&[("a", 1), ("b", 1), ("c", 13)]);
    let mut agent = Agent::start(config(address), Some(last_good(directory.path())));
    agent.until("synced", |s| s.phase == Phase::Synced).await;
    agent.stop().await;
    control_plane.stop().await;

    let mut agent = Agent::start(config(address), Some(last_good(directory.path())));
    agent
        .until("from disk", |s| s.origin == Some(Origin::Disk))
        .await;
    agent
        .until("no control plane", |s| s.last_error.is_some())
        .await;
    let steps = agent.steps();
    assert_eq!(names(&steps[0]), ["a", "b"], "what was refused is not good");
    assert!(steps[0].full);

    let control_plane = ControlPlane::start_at(address, Publisher::default()).await;
    control_plane.publish(&[("a", 1), ("b", 2), ("c", 14)]);
    control_plane.publisher.wait_acknowledged(1).await;
    let steps = agent.steps();
    assert_eq!(names(&steps[0]), ["b", "c"]);
    assert!(!steps[0].full);
    agent.stop().await;
    control_plane.stop().await;
}

#[tokio::test]
async fn the_disk_follows_while_the_agent_runs() {
    let directory = tempfile::tempdir().unwrap();
    let control_plane = ControlPlane::start().await;
    let last_good = last_good(directory.path());
    let agent = Agent::start(config(control_plane.address), Some(last_good.clone()));
    for content in 1..=200 {
        control_plane.publish(&[("a", content)]);
        tokio::task::yield_now().await;
    }
    control_plane.publisher.wait_acknowledged(200).await;
    for _ in 0..1_000 {
        let on_disk = last_good.load().unwrap();
        if on_disk.is_some_and(|(version, _)| version.sequence == 200) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let (version, resources) = last_good.load().unwrap().unwrap();
    assert_eq!((version.sequence, resources.len()), (200, 1));
    assert!(agent.metrics.writes() <= agent.metrics.steps());
    agent.stop().await;
    control_plane.stop().await;
}

#[tokio::test]
async fn a_removed_resource_leaves_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let control_plane = ControlPlane::start().await;
    let last_good = last_good(directory.path());
    control_plane.publish(&[("a", 1), ("b", 1)]);
    let agent = Agent::start(config(control_plane.address), Some(last_good.clone()));
    control_plane.publisher.wait_acknowledged(1).await;
    let removed = control_plane.publisher.update(Vec::new(), vec!["a".into()]);
    assert!(removed.version.is_some());
    control_plane.publisher.wait_acknowledged(2).await;
    agent.stop().await;
    let (_, resources) = last_good.load().unwrap().unwrap();
    assert_eq!(resources.len(), 1);
    control_plane.stop().await;
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_the_control_plane_helps() {
    let directory = tempfile::tempdir().unwrap();
    let last_good = last_good(directory.path());
    std::fs::write(last_good.path(), b"NOVASNAP and then junk").unwrap();
    let control_plane = ControlPlane::start().await;
    control_plane.publish(&[("a", 1)]);
    let agent = Agent::start(config(control_plane.address), Some(last_good.clone()));
    control_plane.publisher.wait_acknowledged(1).await;
    let steps = agent.steps();
    assert_eq!((steps.len(), steps[0].origin), (1, Origin::Stream));
    agent.stop().await;
    assert!(directory.path().join("snapshot.bad").exists());
    assert!(last_good.load().unwrap().is_some());
    control_plane.stop().await;
}
