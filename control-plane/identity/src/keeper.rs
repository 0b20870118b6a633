//! Keeps the authorities in a Secret and this replica's certificate in memory.
//!
//! Every replica reads the Secret and issues its own certificate; the leader alone makes and drops
//! authorities, and writes the bundle that agents mount.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    authority::{Authorities, Authority},
    error::IdentityError,
    files,
    leaf::{self, Names},
    material::{self, Material, MaterialSender},
    rotation::Rotation,
};

/// The key of the bundle in its ConfigMap.
pub const BUNDLE_KEY: &str = "ca.crt";

/// Settings of a [`Keeper`].
#[derive(Debug, Clone)]
pub struct KeeperConfig {
    /// The namespace of the Secret and the ConfigMap.
    pub namespace: String,
    /// The Secret of the authorities. Default `novaedge-ca`.
    pub secret: String,
    /// The ConfigMap of their certificates, in the key `ca.crt`. Default `novaedge-ca-bundle`.
    pub bundle: String,
    /// Further namespaces that the ConfigMap is to be in: those of agents that run elsewhere.
    pub bundle_namespaces: BTreeSet<String>,
    /// The names by which this replica is reached.
    pub names: Names,
    /// Further authorities of client certificates (PEM), read at each look.
    pub client_authorities: Option<PathBuf>,
    /// When authorities and certificates are renewed.
    pub rotation: Rotation,
    /// How often the Secret is looked at. Default 30 s; 1 s until there is a certificate.
    pub interval: Duration,
}

impl KeeperConfig {
    /// The defaults for a namespace and the names of a replica.
    pub fn new(namespace: impl Into<String>, names: Names) -> Self {
        Self {
            namespace: namespace.into(),
            secret: "novaedge-ca".into(),
            bundle: "novaedge-ca-bundle".into(),
            bundle_namespaces: BTreeSet::new(),
            names,
            client_authorities: None,
            rotation: Rotation::default(),
            interval: Duration::from_secs(30),
        }
    }
}

/// Keeps authorities and certificates up to date.
#[derive(Debug)]
pub struct Keeper {
    secrets: Api<Secret>,
    /// One for each namespace that has the bundle, that of the Secret first.
    bundles: Vec<Api<ConfigMap>>,
    config: KeeperConfig,
    /// Seconds since 1970.
    now: fn() -> i64,
    material: MaterialSender,
    issued: Option<Issued>,
}

/// What the certificate in force comes from.
#[derive(Debug, PartialEq)]
struct Issued {
    at: i64,
    signer: i64,
    authorities: Authorities,
    client_authorities: Option<Vec<u8>>,
}

impl Keeper {
    /// A keeper, and what it makes. `now` tells the seconds since 1970.
    pub fn new(client: Client, config: KeeperConfig, now: fn() -> i64) -> (Self, Material) {
        let (sender, material) = material::channel();
        let namespaces = [&config.namespace].into_iter();
        let namespaces = namespaces.chain(&config.bundle_namespaces);
        let keeper = Self {
            bundles: namespaces
                .map(|namespace| Api::namespaced(client.clone(), namespace))
                .collect(),
            secrets: Api::namespaced(client, &config.namespace),
            config,
            now,
            material: sender,
            issued: None,
        };
        (keeper, material)
    }

    /// Works until `stop`. `leads` tells whether this replica may write.
    pub async fn run(mut self, mut leads: watch::Receiver<bool>, stop: CancellationToken) {
        loop {
            let is_leader = *leads.borrow_and_update();
            let looked = tokio::select! {
                looked = self.look(is_leader) => looked,
                () = stop.cancelled() => return,
            };
            if let Err(error) = looked {
                tracing::warn!(error = %chain(&error), "the authorities were not looked after");
            }
            let wait = if self.material.is_there() {
                self.config.interval
            } else {
                Duration::from_secs(1).min(self.config.interval)
            };
            let changed = async {
                if leads.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = changed => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One look: reads, writes if this replica leads and something is due, issues if need be.
    async fn look(&mut self, is_leader: bool) -> Result<(), IdentityError> {
        let now = (self.now)();
        let name = &self.config.secret;
        let read = self.secrets.get_opt(name).await;
        let stored = match read {
            Ok(stored) => stored,
            Err(error) => {
                // What is in memory goes on, and is renewed as long as it can be.
                if let Some(issued) = self.issued.take() {
                    self.use_authorities(issued.authorities.clone(), Some(issued), now)
                        .await?;
                }
                return Err(api("give the Secret of the authorities", error));
            }
        };
        let data = stored.as_ref().and_then(|secret| secret.data.clone());
        let data: BTreeMap<_, _> = data
            .unwrap_or_default()
            .into_iter()
            .map(|(k, v)| (k, v.0))
            .collect();
        let mut authorities = Authorities::from_data(&data)?;
        if is_leader {
            let plan = self.config.rotation.plan(&authorities.made(), now);
            if plan.make || !plan.drop.is_empty() {
                for made in plan.drop {
                    tracing::info!(made, "an authority of no use any more is dropped");
                    authorities.remove(made);
                }
                if plan.make {
                    tracing::info!(made = now, "a new authority is made");
                    authorities.insert(Authority::make(now, &self.config.rotation)?);
                }
                self.store(stored, &authorities).await?;
            }
            self.store_bundles(&authorities.bundle()).await?;
        }
        let issued = self.issued.take();
        self.use_authorities(authorities, issued, now).await
    }

    /// Issues a certificate unless the one in force is as good.
    async fn use_authorities(
        &mut self,
        authorities: Authorities,
        issued: Option<Issued>,
        now: i64,
    ) -> Result<(), IdentityError> {
        let rotation = &self.config.rotation;
        let plan = rotation.plan(&authorities.made(), now);
        let Some(authority) = plan.signer.and_then(|made| authorities.get(made)) else {
            self.issued = issued;
            return Ok(());
        };
        let client_authorities = self.client_authorities().await?;
        let fresh = |issued: &Issued| {
            now < rotation.renewal(issued.at)
                && now >= issued.at.saturating_sub(60)
                && issued.signer == authority.made
                && issued.authorities == authorities
                && issued.client_authorities == client_authorities
        };
        if issued.as_ref().is_some_and(fresh) {
            self.issued = issued;
            return Ok(());
        }
        let leaf = leaf::issue(authority, &self.config.names, rotation, now)?;
        self.material.send(
            &leaf.chain,
            &leaf.key,
            authorities.roots()?,
            client_authorities.as_deref(),
        )?;
        tracing::info!(
            authority = authority.made,
            "a certificate of this replica is in force"
        );
        self.issued = Some(Issued {
            at: now,
            signer: authority.made,
            authorities,
            client_authorities,
        });
        Ok(())
    }

    async fn client_authorities(&self) -> Result<Option<Vec<u8>>, IdentityError> {
        files::read_optional(self.config.client_authorities.as_deref()).await
    }

    async fn store(
        &self,
        stored: Option<Secret>,
        authorities: &Authorities,
    ) -> Result<(), IdentityError> {
        let data = authorities.to_data().into_iter();
        let data = data.map(|(key, value)| (key, ByteString(value))).collect();
        let name = &self.config.secret;
        let written = if let Some(mut secret) = stored {
            // The resourceVersion in it makes the write fail when somebody else was faster.
            secret.data = Some(data);
            let params = PostParams::default();
            self.secrets.replace(name, &params, &secret).await
        } else {
            let secret = Secret {
                metadata: metadata(name),
                type_: Some("Opaque".into()),
                data: Some(data),
                ..Secret::default()
            };
            self.secrets.create(&PostParams::default(), &secret).await
        };
        written
            .map(drop)
            .map_err(|error| api("store the Secret of the authorities", error))
    }

    /// Stores the bundle everywhere. A namespace that is not there, or not ours to write to, holds no other
    /// back.
    async fn store_bundles(&self, bundle: &str) -> Result<(), IdentityError> {
        let mut stored = Ok(());
        for (index, bundles) in self.bundles.iter().enumerate() {
            match self.store_bundle(bundles, bundle).await {
                Err(error) if index > 0 => {
                    let namespace = self.config.bundle_namespaces.iter().nth(index - 1);
                    tracing::warn!(namespace, error = %chain(&error), "agents there have no current bundle");
                }
                result => stored = stored.and(result),
            }
        }
        stored
    }

    async fn store_bundle(
        &self,
        bundles: &Api<ConfigMap>,
        bundle: &str,
    ) -> Result<(), IdentityError> {
        let name = &self.config.bundle;
        let read = bundles.get_opt(name).await;
        let stored = read.map_err(|error| api("give the bundle", error))?;
        let written = match stored {
            Some(stored) if holds(&stored, bundle) => return Ok(()),
            Some(mut stored) => {
                let data = stored.data.get_or_insert_default();
                data.insert(BUNDLE_KEY.into(), bundle.into());
                bundles.replace(name, &PostParams::default(), &stored).await
            }
            None => {
                let map = ConfigMap {
                    metadata: metadata(name),
                    data: Some([(BUNDLE_KEY.into(), bundle.into())].into()),
                    ..ConfigMap::default()
                };
                bundles.create(&PostParams::default(), &map).await
            }
        };
        written
            .map(drop)
            .map_err(|error| api("store the bundle", error))
    }
}

fn holds(map: &ConfigMap, bundle: &str) -> bool {
    let data = map.data.as_ref();
    data.and_then(|data| data.get(BUNDLE_KEY))
        .is_some_and(|held| held == bundle)
}

fn metadata(name: &str) -> ObjectMeta {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(
            [
                label("app.kubernetes.io/part-of", "novaedge"),
                label("app.kubernetes.io/managed-by", "novaedge"),
            ]
            .into(),
        ),
        ..ObjectMeta::default()
    }
}

fn api(what: &'static str, error: kube::Error) -> IdentityError {
    IdentityError::Api(what, Box::new(error))
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
