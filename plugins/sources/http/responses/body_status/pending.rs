//! Recognizes responses of jobs that are not done, such as queries.

use serde_json::{Map, Value};

use super::{is_in, plain};

/// Members that are false until the job is done.
const DONE: &str = "iscomplete iscompleted isready jobcomplete jobcompleted";

/// Members that are true until the job is done.
const RUNNING: &str = "isinprogress ispending isrunning";

/// Members with a word for the state of the job, or with an object that has such a member.
const STATES: &str = "executionstatus jobstate jobstatus querystate querystatus state status";

/// Members with an object that describes the job.
const JOBS: &str = "job query queryexecution stats";

/// The states of a job that is not done.
const UNFINISHED: &str =
    "enqueued executing inprogress notstarted pending processing queued running submitted";

/// How deep a state may be: `{"QueryExecution": {"Status": {"State": "RUNNING"}}}`
const MAX_DEPTH: usize = 2;

/// Why a response without records may have some later: the member that says that the job is not done. A state that the
/// request contains, too, may be one that it asks for.
pub(crate) fn unfinished(body: &[u8], request: &str) -> Option<String> {
    member_of(&super::object(body)?, &request.to_ascii_lowercase(), 0)
}

fn member_of(object: &Map<String, Value>, request: &str, depth: usize) -> Option<String> {
    object.iter().find_map(|(name, value)| {
        let member = plain(name);
        let is = |names: &str| is_in(names, &member);
        match value {
            Value::Bool(false) if is(DONE) => Some(name.clone()),
            Value::Bool(true) if is(RUNNING) => Some(name.clone()),
            Value::String(state) if is(STATES) => (is_in(UNFINISHED, &plain(state))
                && !request.contains(&state.to_ascii_lowercase()))
            .then(|| name.clone()),
            Value::Object(inner) if (is(STATES) || is(JOBS)) && depth < MAX_DEPTH => {
                member_of(inner, request, depth + 1)
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_that_is_not_done_is_recognized() {
        let unfinished = |body: &str| unfinished(body.as_bytes(), "/orders?status=pending");
        for (body, member) in [
            (r#"{"kind": "bigquery#queryResponse", "jobComplete": false}"#, "jobComplete"),
            (r#"{"QueryExecution": {"Status": {"State": "RUNNING"}}}"#, "State"),
            (r#"{"statement_id": "1", "status": {"state": "QUEUED"}}"#, "state"),
            (r#"{"id": "1", "state": "InProgress", "results": []}"#, "state"),
            (r#"{"id": "1", "is_running": true, "hits": []}"#, "is_running"),
            (r#"{"status": "not_started", "data": null}"#, "status"),
        ] {
            assert_eq!(unfinished(body).as_deref(), Some(member), "{body}");
        }
        for body in [
            r#"{"jobComplete": true, "rows": []}"#,
            r#"{"status": {"state": "SUCCEEDED"}}"#,
            r#"{"status": "pending", "orders": []}"#,
            r#"{"status": "ok", "data": [], "filter": {"status": "running"}}"#,
            r#"{"done": false, "nextRecordsUrl": "/next", "records": []}"#,
            r#"[{"status": "RUNNING"}]"#,
            "",
        ] {
            assert_eq!(unfinished(body), None, "{body}");
        }
    }
}
