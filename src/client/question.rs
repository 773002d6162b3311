//! What is asked of an agent once, and what does it answer?

use std::sync::mpsc;

use super::Shared;
use super::session::{ANSWER, Client, failed, told};
use crate::model::{Action, ActionError, Done, HistoryAsk, Series};
use crate::wire::convert;

/// Asks for a past; without an answer it is asked for again later.
pub(super) async fn history(shared: &Shared, mut client: Client, ask: HistoryAsk) {
    let reply = tokio::time::timeout(ANSWER, client.history(convert::from_ask(&ask))).await;
    let Ok(Ok(reply)) = reply else { return };
    let Ok(series) = convert::series(&reply.into_inner()) else { return };
    if let Some(past) = shared.state().pasts.iter_mut().find(|past| past.ask == ask) {
        (past.series, past.answered) = (series, true);
    }
    (shared.on_change)();
}

/// Asks for a past that somebody waits for.
pub(super) async fn past(mut client: Client, ask: HistoryAsk, answer: mpsc::Sender<Option<Series>>) {
    let reply = tokio::time::timeout(ANSWER, client.history(convert::from_ask(&ask))).await;
    let Ok(Ok(reply)) = reply else { return };
    if let Ok(series) = convert::series(&reply.into_inner()) {
        // nobody may wait any more
        let _ = answer.send(series);
    }
}

/// Has something done, and says what came of it.
pub(super) async fn act(mut client: Client, action: Action, outcome: mpsc::Sender<Result<Done, ActionError>>) {
    let reply = tokio::time::timeout(ANSWER, client.act(convert::from_action(&action))).await;
    let done = match reply {
        Ok(Ok(reply)) => convert::done(&reply.into_inner(), &action),
        Ok(Err(status)) => Err(failed(&action, &told(&status))),
        Err(_) => Err(failed(&action, "the agent does not answer")),
    };
    // a reader that has gone wants no outcome
    let _ = outcome.send(done);
}
