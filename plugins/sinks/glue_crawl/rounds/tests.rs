//! Rounds in a clock of their own, over a crawler that keeps time exactly.

use super::*;

/// Each crawl takes a minute, and ends as the test says.
#[derive(Default)]
struct Clockwork {
    starts: Mutex<Vec<Instant>>,
    /// Somebody else's crawl runs until then.
    busy_until: Mutex<Option<Instant>>,
    failure: Mutex<Option<String>>,
    /// How Glue is to be reached at present.
    way: Mutex<Way>,
    tables: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Way {
    #[default]
    Open,
    Silent,
    Cut,
}

impl Clockwork {
    async fn pass(&self) -> Result<()> {
        let way = *self.way.lock().unwrap();
        match way {
            Way::Open => Ok(()),
            Way::Silent => std::future::pending().await,
            Way::Cut => Err(Trouble::unreachable().into()),
        }
    }
}

const A_CRAWL: Duration = Duration::from_mins(1);

#[async_trait]
impl Crawls for Arc<Clockwork> {
    async fn look(&self) -> Result<Look> {
        self.pass().await?;
        let starts = self.starts.lock().unwrap();
        let now = Instant::now();
        let runs = |start: &&Instant| now < **start + A_CRAWL;
        let is_busy = self.busy_until.lock().unwrap().is_some_and(|until| now < until);
        let last = starts
            .iter()
            .rev()
            .find(|start| !runs(start))
            .map(|start| Crawl { id: format!("{start:?}"), failure: self.failure.lock().unwrap().clone() });
        Ok(Look { is_ready: !is_busy && !starts.last().as_ref().is_some_and(runs), last })
    }

    async fn start(&self) -> Result<bool> {
        if !self.look().await?.is_ready {
            return Ok(false);
        }
        self.starts.lock().unwrap().push(Instant::now());
        Ok(true)
    }

    async fn tables(&self) -> Result<Vec<String>> {
        Ok(self.tables.clone())
    }

    fn name(&self) -> String {
        "crawler `stocks`".into()
    }

    fn place(&self) -> String {
        "at http://glue".into()
    }

    fn why_no_table(&self) -> String {
        "nothing lies there".into()
    }
}

struct Scene {
    clockwork: Arc<Clockwork>,
    rounds: Arc<Rounds<Arc<Clockwork>>>,
    gauges: Arc<Gauges>,
    began: Instant,
}

impl Scene {
    fn new(every: Option<Duration>) -> Self {
        Scene::with(Clockwork { tables: vec!["table `stocks`".into()], ..Clockwork::default() }, every)
    }

    fn with(clockwork: Clockwork, every: Option<Duration>) -> Self {
        let clockwork = Arc::new(clockwork);
        let gauges = Arc::new(Gauges::default());
        let timeout = Some(Duration::from_mins(15));
        let rounds = Arc::new(Rounds::new(Arc::clone(&clockwork), every, timeout, Arc::clone(&gauges)));
        Scene { clockwork, rounds, gauges, began: Instant::now() }
    }

    /// Lets the rounds run beside for so many seconds, while a record is stored every so many.
    async fn stream(&self, seconds: u64, pause: u64) {
        let rounds = Arc::clone(&self.rounds);
        let store = async {
            let until = Instant::now() + Duration::from_secs(seconds);
            while Instant::now() < until {
                rounds.hear(1);
                sleep(Duration::from_secs(pause)).await;
            }
        };
        tokio::select! {
            () = store => {}
            () = self.rounds.run() => {}
        }
    }

    fn starts(&self) -> Vec<u64> {
        let starts = self.clockwork.starts.lock().unwrap();
        starts.iter().map(|start| (*start - self.began).as_secs()).collect()
    }
}

const AN_HOUR: Option<Duration> = Some(Duration::from_hours(1));

#[tokio::test(start_paused = true)]
async fn crawls_half_a_minute_after_the_first_object_and_then_once_an_hour() {
    let scene = Scene::new(AN_HOUR);
    scene.stream(9000, 10).await;
    assert_eq!(scene.starts(), [30, 3630, 7230]);
}

#[tokio::test(start_paused = true)]
async fn does_not_crawl_where_nothing_new_was_stored() {
    let scene = Scene::new(AN_HOUR);
    scene.stream(36_000, 14_400).await;
    assert_eq!(scene.starts(), [30, 14_430, 28_830]);
    scene.rounds.finish().await.unwrap();
    assert_eq!(scene.starts().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_input_is_crawled_and_waited_for() {
    let scene = Scene::new(None);
    scene.stream(7200, 10).await;
    assert!(scene.starts().is_empty());
    scene.rounds.finish().await.unwrap();
    assert_eq!(scene.starts(), [7200]);
    assert!(scene.began.elapsed().as_secs() >= 7260);
    assert_eq!(scene.gauges.notes(), ["table `stocks`"]);
}

#[tokio::test(start_paused = true)]
async fn a_crawl_under_way_at_the_end_is_waited_for_and_counts_if_it_has_seen_everything() {
    let scene = Scene::new(AN_HOUR);
    scene.stream(40, 40).await;
    scene.rounds.finish().await.unwrap();
    assert_eq!(scene.starts(), [30]);
    assert_eq!(scene.gauges.notes(), ["table `stocks`"]);

    let scene = Scene::new(AN_HOUR);
    scene.stream(40, 35).await;
    scene.rounds.finish().await.unwrap();
    assert_eq!(scene.starts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_crawl_of_somebody_else_is_waited_for_and_followed_by_ours() {
    let scene = Scene::new(None);
    *scene.clockwork.busy_until.lock().unwrap() = Some(Instant::now() + Duration::from_secs(100));
    scene.rounds.hear(1);
    scene.rounds.finish().await.unwrap();
    assert!((100..110).contains(&scene.starts()[0]), "{:?}", scene.starts());
}

#[tokio::test(start_paused = true)]
async fn stopping_starts_a_crawl_and_does_not_wait() {
    let scene = Scene::new(AN_HOUR);
    scene.stream(10, 1).await;
    scene.rounds.leave().await;
    assert_eq!(scene.starts(), [10]);
    assert_eq!(scene.began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_long_for_a_glue_that_is_silent() {
    let scene = Scene::new(None);
    scene.rounds.hear(1);
    *scene.clockwork.way.lock().unwrap() = Way::Silent;
    scene.rounds.leave().await;
    assert_eq!(scene.began.elapsed(), LEAVE_WITHIN);
}

#[tokio::test(start_paused = true)]
async fn a_glue_that_nobody_reaches_is_told_from_a_crawl_that_fails() {
    let scene = Scene::new(None);
    scene.rounds.hear(1);
    *scene.clockwork.way.lock().unwrap() = Way::Cut;
    let error = scene.rounds.finish().await.unwrap_err();
    assert!(runner_core::is_unreachable(&error), "{error:#}");
    assert!(
        format!("{error:#}").contains("cannot reach Glue at http://glue: connection refused"),
        "{error:#}"
    );
    assert!(scene.began.elapsed() >= Duration::from_mins(15));
}

#[tokio::test(start_paused = true)]
async fn a_failed_crawl_fails_the_end_and_not_the_stream() {
    let scene = Scene::new(AN_HOUR);
    *scene.clockwork.failure.lock().unwrap() = Some("access denied, see the log".into());
    scene.stream(200, 200).await;
    let error = scene.rounds.finish().await.unwrap_err().to_string();
    assert_eq!(error, "crawler `stocks` has failed: access denied, see the log");
    assert_eq!(scene.starts().len(), 2, "the end tries again what has failed before");
}

#[tokio::test(start_paused = true)]
async fn a_crawl_without_a_table_is_no_error_and_says_the_likely_reason() {
    let scene = Scene::with(Clockwork::default(), None);
    scene.rounds.hear(1);
    scene.rounds.finish().await.unwrap();
    assert_eq!(scene.gauges.notes(), ["crawler `stocks` has found no table"]);
}

#[tokio::test(start_paused = true)]
async fn waiting_has_an_end() {
    let scene = Scene::new(None);
    *scene.clockwork.busy_until.lock().unwrap() = Some(Instant::now() + Duration::from_secs(5000));
    let error = scene.rounds.crawl().await.unwrap_err().to_string();
    assert!(error.contains("still running after 15m"), "{error}");
}
