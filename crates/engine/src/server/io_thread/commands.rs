//! What JavaScript has written into the ring, done to the exchange or connection that it is for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::bridge::ring::Command;
use crate::server::connection::{answer_refused, destroy, is_refused, leave, resume};
use crate::server::context::Context;

/// Does what one record says. A panic is a fault of ours, which its hook has reported; it ends the exchange or connection
/// that the record is for, and no other.
pub(super) fn obey(ctx: &Rc<Context>, id: u32, command: Command<'_>) {
    let for_connection = matches!(
        command,
        Command::Answer { .. } | Command::Destroy { .. } | Command::Leave | Command::Socket(_)
    );
    let done = catch_unwind(AssertUnwindSafe(|| {
        if for_connection {
            obey_for_connection(ctx, id, &command);
        } else {
            obey_for_exchange(ctx, id, command);
        }
    }));
    if done.is_ok() {
        return;
    }
    if for_connection {
        destroy(ctx, id, true);
    } else if let Some(answer) = ctx.exchanges.borrow().find(id) {
        answer.reset();
    }
}

fn obey_for_exchange(ctx: &Rc<Context>, id: u32, command: Command<'_>) {
    // The piece belongs to this record, whether its exchange still lives or not.
    let piece = if let Command::Large { .. } = command { ctx.crossing.pop_large() } else { None };
    let exchanges = ctx.exchanges.borrow();
    let Some(answer) = exchanges.find(id) else {
        // Whoever asks is answered: the question may come behind the end, when nothing is left to wait for.
        if let Command::Notify = command {
            ctx.tell(|batch| batch.drained(id));
        }
        return;
    };
    match command {
        Command::Respond(head, body) => {
            answer.head(&head, Some(body.len() as u64));
            answer.data(body);
            answer.end(true);
        }
        Command::Head(head, length) => answer.head(&head, Some(u64::from(length))),
        Command::Inform(head) => answer.inform(&head),
        Command::Data(bytes) => answer.data(bytes),
        Command::Large { lent: false } => answer.large(piece.unwrap_or_default()),
        Command::Large { lent: true } => answer.lend(piece.unwrap_or_default()),
        Command::Trailers(fields) => answer.trailers(fields),
        Command::End { discard } => answer.end(discard),
        Command::Reset => answer.reset(),
        Command::Credit(bytes) => answer.credit(bytes),
        Command::Notify => answer.notify(),
        Command::Held(bytes) => answer.held(bytes as usize),
        Command::Tunnel { taken } => answer.tunnel(taken),
        Command::Answer { .. } | Command::Destroy { .. } | Command::Leave | Command::Socket(_) => {}
    }
}

fn obey_for_connection(ctx: &Rc<Context>, id: u32, command: &Command<'_>) {
    match command {
        Command::Answer { bytes, end } => answer_refused(ctx, id, bytes, *end),
        Command::Destroy { .. } | Command::Leave if is_refused(ctx, id) => {}
        Command::Destroy { reset } => destroy(ctx, id, *reset),
        Command::Leave => leave(ctx, id),
        Command::Socket(wish) => {
            if let Some(shared) = resume(ctx, id) {
                shared.wish(*wish);
            }
        }
        _ => {}
    }
}
