//! The stores that hold results in S3: the tests' own, and programs that others wrote.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::{Client, Config};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use super::s3::{BUCKET, S3Server, Settings};
use crate::program::PATIENCE;

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreKind {
    /// The tests' own.
    Memory,
    /// `moto_server`.
    Moto,
    /// `weed server -s3`.
    SeaweedFs,
}

/// A running store with an empty [`BUCKET`].
pub(crate) struct Store {
    url: String,
    runtime: Runtime,
    client: Client,
    server: Server,
}

enum Server {
    Memory {
        _server: S3Server,
    },
    Program {
        child: Child,
        _directory: tempfile::TempDir,
        /// Sockets that the program leaves behind.
        sockets: Vec<PathBuf>,
    },
}

impl StoreKind {
    /// Returns the kind of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "memory" => Some(Self::Memory),
            "moto" => Some(Self::Moto),
            "seaweedfs" => Some(Self::SeaweedFs),
            _ => None,
        }
    }
}

impl Store {
    /// Starts a store; a program's from the virtual environment `venv`.
    pub(crate) fn start(kind: StoreKind, venv: Option<&Path>) -> Result<Self, String> {
        let (server, url) = match (kind, venv) {
            (StoreKind::Memory, _) => {
                let server = S3Server::spawn(Settings::default());
                let url = server.url();
                (Server::Memory { _server: server }, url)
            }
            (_, Some(venv)) => start_program(kind, &venv.join("bin"))?,
            (_, None) => return Err("--s3 needs --venv PATH, where the store is installed".into()),
        };
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("AKIDCHECKS", "secret", None, None, "test"))
            .force_path_style(true)
            .endpoint_url(&url);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let store = Self {
            url,
            client: Client::from_conf(config.build()),
            runtime,
            server,
        };
        store.wait_until_ready()?;
        Ok(store)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Waits until the store has created the bucket and takes objects.
    fn wait_until_ready(&self) -> Result<(), String> {
        if matches!(self.server, Server::Memory { .. }) {
            return Ok(());
        }
        let ready = async {
            let mut period = tokio::time::interval(Duration::from_millis(100));
            loop {
                period.tick().await;
                let _ = self.client.create_bucket().bucket(BUCKET).send().await;
                let put = self.client.put_object().bucket(BUCKET).key("ready");
                if put.send().await.is_ok() {
                    return;
                }
            }
        };
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, ready).await })
            .map_err(|_| "the store takes no object".to_owned())
    }

    /// Returns the objects below `prefix` in the order of their keys, past any proxy.
    pub(crate) fn objects(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
        self.runtime.block_on(async {
            let list = self.client.list_objects_v2().bucket(BUCKET).prefix(prefix);
            let mut pages = list.into_paginator().send();
            let mut objects = Vec::new();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| format!("{error:?}"))?;
                for key in page.contents().iter().filter_map(|object| object.key()) {
                    let got = self
                        .client
                        .get_object()
                        .bucket(BUCKET)
                        .key(key)
                        .send()
                        .await;
                    let got = got.map_err(|error| format!("{key}: {error:?}"))?;
                    let body = got.body.collect().await;
                    let body = body.map_err(|error| format!("{key}: {error}"))?;
                    objects.push((key.to_owned(), body.to_vec()));
                }
            }
            Ok(objects)
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Self::Program { child, sockets, .. } = self else {
            return;
        };
        let _ = kill_process(Pid::from_child(child), Signal::KILL);
        let _ = child.wait();
        for socket in sockets {
            let _ = fs::remove_file(socket);
        }
    }
}

/// Starts a program that is installed in `bin`, on free ports of this machine.
fn start_program(kind: StoreKind, bin: &Path) -> Result<(Server, String), String> {
    let directory = tempfile::tempdir().expect("a directory");
    let ports = free_ports::<8>();
    let port = |n: usize| ports[n].to_string();
    let (name, args, sockets) = if kind == StoreKind::Moto {
        let args = vec![
            "-H".to_owned(),
            "127.0.0.1".to_owned(),
            "-p".to_owned(),
            port(0),
        ];
        ("moto_server", args, Vec::new())
    } else {
        fs::create_dir(directory.path().join("data")).expect("a directory");
        let mut args = vec!["server".to_owned(), "-s3".to_owned()];
        args.push(format!("-dir={}", directory.path().join("data").display()));
        // One process is master, volume server, filer and gateway, each with a port for HTTP and one for gRPC.
        let options = [
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.volumeSizeLimitMB=64",
            "-volume.max=8",
            "-master.telemetry=false",
            "-s3.iam=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ];
        args.extend(options.map(str::to_owned));
        let roles = ["s3", "master", "volume", "filer"];
        for (n, role) in roles.iter().enumerate() {
            args.push(format!("-{role}.port={}", port(n)));
            args.push(format!("-{role}.port.grpc={}", port(roles.len() + n)));
        }
        let socket = |role: &str, port: u16| {
            ["", "-grpc"].map(|grpc| format!("/tmp/seaweedfs-{role}{grpc}-{port}.sock"))
        };
        let all = roles
            .iter()
            .flat_map(|role| ports.map(|port| socket(role, port)));
        let sockets = all.flatten().map(PathBuf::from);
        ("weed", args, sockets.collect())
    };
    let log = |stream: &str| {
        let path = directory.path().join(format!("{name}.{stream}"));
        Stdio::from(File::create(path).expect("a file"))
    };
    let child = Command::new(bin.join(name))
        .args(args)
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(log("stdout"))
        .stderr(log("stderr"))
        .spawn()
        .map_err(|error| format!("{}: {error}", bin.join(name).display()))?;
    let server = Server::Program {
        child,
        _directory: directory,
        sockets,
    };
    Ok((server, format!("http://127.0.0.1:{}", ports[0])))
}

/// Returns ports that are free now.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}
