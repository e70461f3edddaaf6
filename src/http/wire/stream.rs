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

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

// === Stream ===

impl Stream {
    /// Reads what is there into `buffer`, and says how much; 0 is the end. If nothing is there, the task is woken when that
    /// changes. A socket whose last read left room in the buffer is known to be empty, and is not asked again in vain.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => poll_receive(stream, context, buffer),
            Self::Tls(stream) => {
                let mut buffer = ReadBuf::new(buffer);
                ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().len()))
            }
        }
    }

    /// Writes some of `first`, and then of `second`.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>, first: &[u8], second: &[u8]) -> Poll<io::Result<usize>> {
        let written = match self {
            Self::Tcp(stream) if second.is_empty() => poll_send(stream, context, first),
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, &[IoSlice::new(first), IoSlice::new(second)]),
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

fn poll_receive(stream: &TcpStream, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_read_ready(context))?;
        let mut some = 0;
        // What left room has emptied the socket; saying that it would block lets the runtime forget that it is readable.
        let tried = stream.try_io(Interest::READABLE, || {
            match retried(|| rustix::net::recv(stream, &mut *buffer, RecvFlags::empty()))? {
                (count, _) if count > 0 && count < buffer.len() => {
                    some = count;
                    Err(io::ErrorKind::WouldBlock.into())
                }
                (count, _) => Ok(count),
            }
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
