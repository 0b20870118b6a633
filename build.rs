//! Compiles proto/ with protox, in pure Rust: nobody needs protoc to build NovaEdge.

use std::{env, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/novaedge");
    let descriptors = protox::compile(["novaedge/v1/snapshot_discovery.proto"], ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    std::fs::write(out.join("novaedge.v1.binpb"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".")
        .skip_debug([".novaedge.v1.Certificate"])
        .compile_fds(descriptors)?;
    Ok(())
}
