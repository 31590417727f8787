//! The scheduler with paused time, over a crawler whose crawls take a minute.

use super::*;
use crate::shared::aws::Access;

#[derive(Default)]
struct FakeCrawler {
    starts: Mutex<Vec<Instant>>,
    /// A crawl of another process runs until then.
    busy_until: Mutex<Option<Instant>>,
    /// Since when Glue says that it runs.
    busy_since: Mutex<Option<Instant>>,
    failure: Mutex<Option<String>>,
    network: Mutex<Network>,
    tables: Vec<String>,
    /// How old the status is that Glue returns.
    lag: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Network {
    #[default]
    Up,
    Silent,
    Down,
}

impl FakeCrawler {
    async fn request(&self) -> Result<(), AwsError> {
        let network = *self.network.lock().unwrap();
        match network {
            Network::Up => Ok(()),
            Network::Silent => std::future::pending().await,
            Network::Down => Err(AwsError::unreachable()),
        }
    }
}

const CRAWL_TIME: Duration = Duration::from_mins(1);

#[async_trait]
impl CrawlApi for Arc<FakeCrawler> {
    async fn status(&self) -> Result<Status, AwsError> {
        self.request().await?;
        let starts = self.starts.lock().unwrap();
        let now = Instant::now();
        let seen = now.checked_sub(self.lag).unwrap_or(now);
        let starts: Vec<Instant> = starts.iter().copied().filter(|start| *start <= seen).collect();
        let is_running = |start: &&Instant| now < **start + CRAWL_TIME;
        let is_busy = self.busy_until.lock().unwrap().is_some_and(|until| now < until);
        let ended = starts.iter().rev().find(|start| !is_running(start));
        let last_crawl = ended.map(|start| LastCrawl {
            id: format!("{start:?}"),
            started: Some(*start),
            failure: self.failure.lock().unwrap().clone(),
        });
        let running = starts.last().filter(is_running).copied();
        let running_since = running.or(self.busy_since.lock().unwrap().filter(|_| is_busy));
        Ok(Status { is_ready: !is_busy && running.is_none(), running_since, last_crawl })
    }

    async fn start(&self) -> Result<bool, AwsError> {
        if !self.status().await?.is_ready {
            return Ok(false);
        }
        self.starts.lock().unwrap().push(Instant::now());
        Ok(true)
    }

    async fn tables(&self) -> Result<Vec<String>, AwsError> {
        Ok(self.tables.clone())
    }

    fn name(&self) -> String {
        "crawler `stocks`".into()
    }

    fn error(&self, error: AwsError) -> Error {
        error.into_error(&Access::to_test_server("Glue", "http://glue".into()))
    }
}

struct TestEnv {
    crawler: Arc<FakeCrawler>,
    scheduler: CrawlScheduler<Arc<FakeCrawler>>,
    gauges: Arc<Gauges>,
    started: Instant,
}

impl TestEnv {
    /// Another run with the same crawler.
    fn replica(&self) -> Self {
        let (crawler, every) = (Arc::clone(&self.crawler), self.scheduler.every);
        let gauges = Arc::new(Gauges::default());
        let timeout = Some(Duration::from_mins(15));
        let scheduler = CrawlScheduler::new(Arc::clone(&crawler), every, timeout, Arc::clone(&gauges));
        TestEnv { crawler, scheduler, gauges, started: self.started }
    }

    fn new(every: Option<Duration>) -> Self {
        TestEnv::with(FakeCrawler { tables: vec!["table `stocks`".into()], ..FakeCrawler::default() }, every)
    }

    fn with(crawler: FakeCrawler, every: Option<Duration>) -> Self {
        let crawler = Arc::new(crawler);
        let gauges = Arc::new(Gauges::default());
        let timeout = Some(Duration::from_mins(15));
        let scheduler = CrawlScheduler::new(Arc::clone(&crawler), every, timeout, Arc::clone(&gauges));
        TestEnv { crawler, scheduler, gauges, started: Instant::now() }
    }

    /// Runs the scheduler for `seconds`, while a record is stored every `pause` seconds.
    async fn stream(&self, seconds: u64, pause: u64) {
        let store = async {
            let until = Instant::now() + Duration::from_secs(seconds);
            while Instant::now() < until {
                self.scheduler.add_records(1);
                sleep(Duration::from_secs(pause)).await;
            }
        };
        tokio::select! {
            () = store => {}
            () = self.scheduler.run() => {}
        }
    }

    fn starts(&self) -> Vec<u64> {
        let starts = self.crawler.starts.lock().unwrap();
        starts.iter().map(|start| (*start - self.started).as_secs()).collect()
    }
}

const ONE_HOUR: Option<Duration> = Some(Duration::from_hours(1));

#[tokio::test(start_paused = true)]
async fn first_crawl_starts_after_half_a_minute_and_the_next_after_every() {
    let env = TestEnv::new(ONE_HOUR);
    env.stream(9000, 10).await;
    assert_eq!(env.starts(), [30, 3630, 7230]);
}

#[tokio::test(start_paused = true)]
async fn crawls_only_after_new_records() {
    let env = TestEnv::new(ONE_HOUR);
    env.stream(36_000, 14_400).await;
    assert_eq!(env.starts(), [30, 14_430, 28_830]);
    env.scheduler.finish().await.unwrap();
    assert_eq!(env.starts().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn end_of_input_is_crawled_and_waited_for() {
    let env = TestEnv::new(None);
    env.stream(7200, 10).await;
    assert!(env.starts().is_empty());
    env.scheduler.finish().await.unwrap();
    assert_eq!(env.starts(), [7200]);
    assert!(env.started.elapsed().as_secs() >= 7260);
    assert_eq!(env.gauges.notes(), ["table `stocks`"]);
}

#[tokio::test(start_paused = true)]
async fn crawl_in_flight_at_the_end_is_enough_if_it_covers_all_records() {
    let env = TestEnv::new(ONE_HOUR);
    env.stream(40, 40).await;
    env.scheduler.finish().await.unwrap();
    assert_eq!(env.starts(), [30]);
    assert_eq!(env.gauges.notes(), ["table `stocks`"]);

    let env = TestEnv::new(ONE_HOUR);
    env.stream(40, 35).await;
    env.scheduler.finish().await.unwrap();
    assert_eq!(env.starts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn crawl_of_another_process_is_followed_by_our_own() {
    let env = TestEnv::new(None);
    *env.crawler.busy_until.lock().unwrap() = Some(Instant::now() + Duration::from_secs(100));
    env.scheduler.add_records(1);
    env.scheduler.finish().await.unwrap();
    assert!((100..110).contains(&env.starts()[0]), "{:?}", env.starts());
}

#[tokio::test(start_paused = true)]
async fn status_from_before_the_start_does_not_end_a_crawl() {
    let crawler = FakeCrawler { lag: Duration::from_secs(2), ..FakeCrawler::default() };
    let env = TestEnv::with(crawler, None);
    env.scheduler.crawl().await.unwrap();
    env.scheduler.crawl().await.unwrap();
    assert!(env.started.elapsed() >= 2 * CRAWL_TIME, "{:?}", env.started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn stop_starts_a_crawl_without_waiting_for_it() {
    let env = TestEnv::new(ONE_HOUR);
    env.stream(10, 1).await;
    env.scheduler.stop().await;
    assert_eq!(env.starts(), [10]);
    assert_eq!(env.started.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn three_runs_with_one_crawler_crawl_once_per_every() {
    let one = TestEnv::new(ONE_HOUR);
    let (two, three) = (one.replica(), one.replica());
    tokio::join!(one.stream(9000, 10), two.stream(9000, 7), async {
        sleep(Duration::from_secs(300)).await;
        three.stream(8700, 11).await;
    });
    let starts = one.starts();
    assert_eq!(starts.len(), 3, "{starts:?}");
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= 3590), "{starts:?}");
}

#[tokio::test(start_paused = true)]
async fn stop_starts_no_crawl_where_the_next_one_is_not_due() {
    let one = TestEnv::new(ONE_HOUR);
    one.stream(200, 10).await;
    for run in [&one, &one.replica()] {
        run.scheduler.add_records(1);
        run.scheduler.stop().await;
    }
    assert_eq!(one.starts(), [30], "a rolling restart starts none");

    sleep(Duration::from_hours(2)).await;
    let later = one.replica();
    later.scheduler.add_records(1);
    later.scheduler.stop().await;
    assert_eq!(one.starts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn crawl_of_another_run_after_the_last_record_is_enough() {
    let one = TestEnv::new(None);
    let two = one.replica();
    one.scheduler.add_records(1);
    two.scheduler.add_records(1);
    sleep(Duration::from_secs(1)).await;
    one.scheduler.finish().await.unwrap();
    two.scheduler.finish().await.unwrap();
    assert_eq!(one.starts().len(), 1);
    assert_eq!(two.gauges.notes(), ["table `stocks`"], "the table is reported all the same");

    *one.crawler.failure.lock().unwrap() = Some("access denied".into());
    let three = one.replica();
    three.scheduler.add_records(1);
    three.scheduler.finish().await.unwrap_err();
    assert_eq!(one.starts().len(), 2, "an older crawl does not cover the new record");
}

#[tokio::test(start_paused = true)]
async fn later_crawl_of_another_run_is_waited_for() {
    let env = TestEnv::new(None);
    env.scheduler.add_records(1);
    sleep(Duration::from_secs(1)).await;
    env.crawler.starts.lock().unwrap().push(Instant::now());
    sleep(Duration::from_secs(1)).await;
    env.scheduler.finish().await.unwrap();
    assert_eq!(env.starts(), [1]);
    assert!(env.started.elapsed() >= CRAWL_TIME);
}

#[tokio::test(start_paused = true)]
async fn stop_with_silent_glue_returns_after_its_timeout() {
    let env = TestEnv::new(None);
    env.scheduler.add_records(1);
    *env.crawler.network.lock().unwrap() = Network::Silent;
    env.scheduler.stop().await;
    assert_eq!(env.started.elapsed(), STOP_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn unreachable_glue_is_an_unreachable_error() {
    let env = TestEnv::new(None);
    env.scheduler.add_records(1);
    *env.crawler.network.lock().unwrap() = Network::Down;
    let error = env.scheduler.finish().await.unwrap_err();
    assert_eq!(runner_core::class_of(&error), runner_core::Class::Unreachable, "{error:#}");
    assert!(
        format!("{error:#}").contains("cannot reach Glue at http://glue: connection refused"),
        "{error:#}"
    );
    assert!(env.started.elapsed() >= Duration::from_mins(15));
}

#[tokio::test(start_paused = true)]
async fn failed_crawl_fails_only_the_end_of_the_run() {
    let env = TestEnv::new(ONE_HOUR);
    *env.crawler.failure.lock().unwrap() = Some("access denied, see the log".into());
    env.stream(200, 200).await;
    let error = env.scheduler.finish().await.unwrap_err().to_string();
    assert_eq!(error, "the crawler `stocks` has failed: access denied, see the log");
    assert_eq!(env.starts().len(), 2, "the end repeats the failed crawl");
}

#[tokio::test(start_paused = true)]
async fn crawl_without_a_table_is_reported_and_not_an_error() {
    let env = TestEnv::with(FakeCrawler::default(), None);
    env.scheduler.add_records(1);
    env.scheduler.finish().await.unwrap();
    assert_eq!(env.gauges.notes(), ["crawler `stocks` has found no table"]);
}

#[tokio::test(start_paused = true)]
async fn crawl_that_runs_too_long_is_an_error() {
    let env = TestEnv::new(None);
    *env.crawler.busy_until.lock().unwrap() = Some(Instant::now() + Duration::from_secs(5000));
    let error = env.scheduler.crawl().await.unwrap_err().to_string();
    assert!(error.contains("still running after 15m"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn run_without_new_objects_makes_up_for_a_crawl_that_failed_or_never_ran() {
    let env = TestEnv::new(ONE_HOUR);
    env.scheduler.finish().await.unwrap();
    assert_eq!(env.starts().len(), 1, "it has never run");
    env.replica().scheduler.finish().await.unwrap();
    assert_eq!(env.starts().len(), 1, "nothing is left");
    *env.crawler.failure.lock().unwrap() = Some("no access".into());
    env.replica().scheduler.finish().await.unwrap_err();
    *env.crawler.failure.lock().unwrap() = None;
    assert_eq!(env.starts().len(), 2);
}
