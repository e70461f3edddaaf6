//! Flask applications under gunicorn, from the virtual environment that `tests/run.sh` makes: the one of `examples/cars-api`, and
//! httpbin, which says what it was sent.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use super::{Process, free_address, get, root, venv, wait_for};

/// A server that can be killed and come back on the same port.
#[derive(Debug)]
pub(crate) struct Gunicorn {
    address: SocketAddr,
    served: Served,
    process: Process,
}

/// Which application.
#[derive(Clone, Copy, Debug)]
enum Served {
    Cars,
    /// Exporting to what takes OTLP over HTTP there.
    TracedCars(SocketAddr),
    Httpbin,
}

// === impl Gunicorn ===

impl Gunicorn {
    pub(crate) fn start() -> Self {
        Self::start_with(Served::Cars)
    }

    /// With two workers, instrumented by OpenTelemetry as the example's README says, and exporting to what takes OTLP over HTTP
    /// at `collector`, as the service `cars-api`. It has been asked once, outside of any trace.
    pub(crate) fn start_traced(collector: SocketAddr) -> Self {
        Self::start_with(Served::TracedCars(collector))
    }

    pub(crate) fn start_httpbin() -> Self {
        Self::start_with(Served::Httpbin)
    }

    fn start_with(served: Served) -> Self {
        let address = free_address();
        Self { address, served, process: serve(address, served) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// As a scenario's `host`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it at once, with its workers: open connections are cut, new ones refused.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
        // The workers hold the port too, and are gone a little later than their master.
        wait_for("the port to be closed", Duration::from_secs(10), || {
            TcpStream::connect(self.address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused).then_some(())
        });
    }

    /// Starts it again on the same port.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.process = serve(self.address, self.served);
    }
}

fn serve(address: SocketAddr, served: Served) -> Process {
    let mut command = match served {
        Served::Cars | Served::Httpbin => Command::new(venv().join("bin/gunicorn")),
        Served::TracedCars(collector) => {
            let mut command = Command::new(venv().join("bin/opentelemetry-instrument"));
            command.arg(venv().join("bin/gunicorn")).env("OTEL_SERVICE_NAME", "cars-api").env("OTEL_BSP_SCHEDULE_DELAY", "100");
            command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"));
            command.env("OTEL_METRICS_EXPORTER", "none").env("OTEL_LOGS_EXPORTER", "none");
            command
        }
    };
    let workers = if matches!(served, Served::TracedCars(_)) { "--workers=2" } else { "--workers=1" };
    let (application, path) = if matches!(served, Served::Httpbin) { ("httpbin:app", "/get") } else { ("app:app", "/cars") };
    command.current_dir(root().join("examples/cars-api")).env("PYTHONDONTWRITEBYTECODE", "1").args([
        "--worker-class=gthread",
        workers,
        "--threads=16",
        "--keep-alive=75",
        "--no-control-socket",
        &format!("--bind={address}"),
        application,
    ]);
    let mut process = Process::spawn(&mut command);
    wait_for("gunicorn to answer", Duration::from_secs(20), || {
        let ended = process.ended();
        assert!(ended.is_none(), "gunicorn ended: {}", process.stderr.text());
        get(address, path, &[]).ok().filter(|answer| answer.status == 200)
    });
    process
}

#[cfg(test)]
mod tests {
    use crate::kit::{Gunicorn, get};

    #[test]
    fn it_serves_dies_and_comes_back() {
        let mut gunicorn = Gunicorn::start();
        assert_eq!(gunicorn.url(), format!("http://{}", gunicorn.address()));
        assert_eq!(get(gunicorn.address(), "/cars", &[]).unwrap().json()["cars"][0]["brand"], "Tesla");
        gunicorn.kill();
        assert_eq!(get(gunicorn.address(), "/cars", &[]).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        gunicorn.restart();
        assert_eq!(get(gunicorn.address(), "/planes", &[]).unwrap().json()["planes"].as_array().unwrap().len(), 10);
    }
}
