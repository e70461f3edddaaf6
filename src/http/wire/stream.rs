//! TCP, or TLS over it.
//!
//! A plain socket is read and written by system calls of `rustix`: libc's are cancellation points, and in a program with threads
//! each of them enters and leaves that state, which takes 3% of a request.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::super::event_loop;
use super::arrival::{self, Arrival};
use super::late::{self, Arrived};
use crate::clock::Instant;

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// A TCP connection that knows when what it read had arrived.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    /// Of the last bytes that were read. Those that TLS still holds came with them.
    arrival: Arrival,
    /// Segments that came out of order, as of the last look.
    out_of_order: u32,
}

// === Stream ===

impl Stream {
    /// Reads what is there into `buffer`, and says how much; 0 is the end. If nothing is there, the task is woken when that
    /// changes. A socket whose last read left room in the buffer is known to be empty, and is not asked again in vain.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(socket) => socket.poll_receive(context, buffer),
            Self::Tls(stream) => {
                let mut buffer = ReadBuf::new(buffer);
                ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().len()))
            }
        }
    }

    /// When what was last read had arrived: not before `earliest`, and `read_at` at the latest.
    #[inline]
    pub(super) fn arrived(&mut self, earliest: Instant, read_at: Instant) -> Arrived {
        let socket = match self {
            Self::Tcp(socket) => socket,
            Self::Tls(stream) => stream.get_mut().0,
        };
        let since = event_loop::read(read_at);
        if socket.arrival == Arrival::Prompt
            && since.is_some_and(|since| read_at.saturating_duration_since(since) <= event_loop::LATE)
        {
            return Arrived::at(read_at);
        }
        let stream = &socket.stream;
        late::arrived(socket.arrival, (earliest, since, read_at), &mut socket.out_of_order, || arrival::counted(stream))
    }

    /// Writes some of `first`, and then of `second`.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>, first: &[u8], second: &[u8]) -> Poll<io::Result<usize>> {
        let written = match self {
            Self::Tcp(socket) if second.is_empty() => poll_send(&socket.stream, context, first),
            Self::Tcp(socket) => {
                Pin::new(&mut socket.stream).poll_write_vectored(context, &[IoSlice::new(first), IoSlice::new(second)])
            }
            Self::Tls(stream) => Pin::new(stream).poll_write(context, first),
        };
        match ready!(written)? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => Poll::Ready(Ok(count)),
        }
    }

    /// Hands over what TLS still holds.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }
}

// === Socket ===

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, arrival: Arrival::Prompt, out_of_order: 0 }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn poll_receive(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { stream, arrival, .. } = self;
        let stream = &*stream;
        loop {
            ready!(stream.poll_read_ready(context))?;
            let mut some = 0;
            // What left room has emptied the socket; saying that it would block lets the runtime forget that it is readable.
            let tried = stream.try_io(Interest::READABLE, || {
                let read = if event_loop::may_be_late() {
                    receive_with_arrival(stream, buffer)
                } else {
                    let (count, _) = retried(|| rustix::net::recv(stream, &mut *buffer, RecvFlags::empty()))?;
                    Ok((count, Arrival::Prompt))
                };
                let count;
                (count, *arrival) = read?;
                if count > 0 && count < buffer.len() {
                    some = count;
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(count)
            });
            match tried {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match some {
                    0 => {}
                    some => return Poll::Ready(Ok(some)),
                },
                tried => return Poll::Ready(tried),
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let count = ready!(self.get_mut().poll_receive(context, buffer.initialize_unfilled()))?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// Again, as long as signals interrupt it.
#[cold]
fn receive_with_arrival(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<(usize, Arrival)> {
    loop {
        match arrival::receive(stream, buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

fn poll_send(stream: &TcpStream, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(context))?;
        let send = || Ok(retried(|| rustix::net::send(stream, bytes, SendFlags::NOSIGNAL))?);
        match stream.try_io(Interest::WRITABLE, send) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            tried => return Poll::Ready(tried),
        }
    }
}

/// Again, as long as signals interrupt it.
fn retried<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
