//! When bytes arrived, by the kernel: `SO_TIMESTAMPING` (Linux, `Documentation/networking/timestamping.rst`).
//!
//! A program that is kept from running reads late, and would take its own delay for the target's. The kernel notes when each
//! segment came in, and `recvmsg` tells that of the last one that it read. The first socket of a system that asks for it switches
//! the notes on for all, which takes 1 to 2% of an exchange over loopback.
//!
//! One stamp is no answer: of segments that came out of order, the last one may have come long before the gap was filled and
//! anything could be read. The connection
//! counts those (`TCP_INFO`), and a stamp is refused if there were any since the last look.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Timestamp;

/// What is known of the last read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Nobody asked, as it cannot have been late.
    #[default]
    Prompt,
    Stamped(Timestamp),
    /// It was asked for, and there is none.
    Unknown,
}

/// What a connection has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// Segments that came out of order, in all.
    pub(super) out_of_order: u32,
    /// Since data last came that could be read: in ticks of the kernel, of up to 10 ms.
    pub(super) data_age: Duration,
}

static GIVEN: AtomicBool = AtomicBool::new(false);
static MISSING: AtomicBool = AtomicBool::new(false);

/// Whether stamps were asked for and never came.
pub fn lacks_timestamps() -> bool {
    MISSING.load(Ordering::Relaxed) && !GIVEN.load(Ordering::Relaxed)
}

/// Notes whether a stamp came that was asked for.
fn note(stamp: Option<Timestamp>) -> Arrival {
    let (seen, arrival) = match stamp {
        Some(at) => (&GIVEN, Arrival::Stamped(at)),
        None => (&MISSING, Arrival::Unknown),
    };
    // Read first: a line that all workers write to would be in no cache.
    if !seen.load(Ordering::Relaxed) {
        seen.store(true, Ordering::Relaxed);
    }
    arrival
}

/// Reads into `buffer`, and asks when the last of it arrived.
pub(super) fn receive(socket: impl std::os::fd::AsFd, buffer: &mut [u8]) -> io::Result<(usize, Arrival)> {
    let (count, stamp) = system::receive(socket.as_fd(), buffer)?;
    // The end of the stream has no stamp.
    Ok((count, if count == 0 { Arrival::Unknown } else { note(stamp) }))
}

pub(super) use system::{counted, enable};

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod system {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
    use std::time::Duration;

    use super::Counted;
    use crate::clock::Timestamp;

    /// Room for ancillary data, aligned as its headers are.
    #[repr(C, align(8))]
    struct Control([u8; 128]);

    /// Of a header: its length, level and type.
    const HEADER: usize = 16;
    /// In `struct tcp_info`: `tcpi_last_data_recv` and `tcpi_rcv_ooopack` (Linux 5.4).
    const LAST_DATA_RECEIVED: usize = 52;
    const OUT_OF_ORDER: usize = 224;

    /// Has the kernel note when something arrives on `socket`. Where it does not, reads tell so.
    pub(in super::super) fn enable(socket: impl AsFd) {
        let flags = libc::SOF_TIMESTAMPING_RX_SOFTWARE | libc::SOF_TIMESTAMPING_SOFTWARE;
        let size = size_of_val(&flags) as libc::socklen_t;
        // SAFETY: the descriptor is open, and the option is read from a number that lives through the call.
        #[expect(unsafe_code, reason = "no safe interface has this option")]
        unsafe {
            libc::setsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_TIMESTAMPING,
                (&raw const flags).cast(),
                size,
            );
        }
    }

    pub(super) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Option<Timestamp>)> {
        let mut control = Control([0; 128]);
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: all zero is a message without parts. The descriptor is open; the pointers are those of a part and of room that
        // live through the call, with their lengths, and nothing else refers to them meanwhile.
        #[expect(unsafe_code, reason = "no safe interface gives these ancillary data")]
        let (count, used) = unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = &raw mut part;
            message.msg_iovlen = 1;
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = control.0.len() as _;
            // Not libc's function, which is a cancellation point: see `stream.rs`.
            let count = libc::syscall(libc::SYS_recvmsg, socket.as_raw_fd(), &raw mut message, 0);
            (count, message.msg_controllen as usize)
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        Ok((count, stamp(control.0.get(..used).unwrap_or_default())))
    }

    /// The stamp of the kernel among the ancillary data.
    fn stamp(mut control: &[u8]) -> Option<Timestamp> {
        loop {
            let length = usize::from_ne_bytes(control.get(..8)?.try_into().ok()?);
            let [level, kind] =
                [8, 12].map(|at| control.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes));
            if (level?, kind?) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) {
                let number = |at: usize| Some(i64::from_ne_bytes(control.get(at..at + 8)?.try_into().ok()?));
                let (seconds, nanos) = (u64::try_from(number(HEADER)?).ok()?, u32::try_from(number(HEADER + 8)?).ok()?);
                return ((seconds, nanos) != (0, 0)).then(|| Timestamp::from_unix(Duration::new(seconds, nanos)));
            }
            control = control.get(length.max(HEADER).next_multiple_of(8)..)?;
        }
    }

    /// `None` where the kernel does not count.
    pub(in super::super) fn counted(socket: impl AsFd) -> Option<Counted> {
        let mut info = [0u32; 64];
        let mut size = size_of_val(&info) as libc::socklen_t;
        // SAFETY: the descriptor is open, and no more is written than `size` says, to numbers that live through the call.
        #[expect(unsafe_code, reason = "no safe interface has this option")]
        let result = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                info.as_mut_ptr().cast(),
                &raw mut size,
            )
        };
        (result == 0 && size as usize >= OUT_OF_ORDER + 4).then(|| Counted {
            out_of_order: info[OUT_OF_ORDER / 4],
            data_age: Duration::from_millis(info[LAST_DATA_RECEIVED / 4].into()),
        })
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod system {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};

    use super::Counted;
    use crate::clock::Timestamp;

    /// There is nothing to enable.
    pub(in super::super) fn enable(_: impl AsFd) {}

    pub(super) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Option<Timestamp>)> {
        let (count, _) = rustix::net::recv(socket, buffer, rustix::net::RecvFlags::empty())?;
        Ok((count, None))
    }

    pub(in super::super) fn counted(_: impl AsFd) -> Option<Counted> {
        None
    }
}
