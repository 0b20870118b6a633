//! A client that knows nothing of the protocol but what reflection tells, as grpcurl does.

use std::collections::BTreeSet;

use novaedge_publish::ServerConfig;
use prost_reflect::{
    DescriptorPool, DynamicMessage, MessageDescriptor, Value,
    prost::{
        Message as _,
        bytes::{Buf, BufMut},
    },
    prost_types::FileDescriptorProto,
};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::harness::{certificate, start};

/// Messages of a type that is known at run time alone.
struct Dynamic(MessageDescriptor);

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self(self.0.clone())
    }

    fn decoder(&mut self) -> Self {
        Self(self.0.clone())
    }
}

impl Encoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item.encode_to_vec());
        Ok(())
    }
}

impl Decoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        let message = DynamicMessage::decode(self.0.clone(), bytes);
        message
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

async fn files(channel: &Channel, request: MessageRequest) -> Vec<FileDescriptorProto> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    };
    let mut client = ServerReflectionClient::new(channel.clone());
    let answers = client.server_reflection_info(tokio_stream::once(request));
    let answer = answers.await.unwrap().into_inner().message().await.unwrap();
    let Some(MessageResponse::FileDescriptorResponse(files)) = answer.unwrap().message_response
    else {
        panic!("no file");
    };
    let files = files.file_descriptor_proto.iter();
    files
        .map(|file| FileDescriptorProto::decode(file.as_slice()).unwrap())
        .collect()
}

/// The file of a service, with all that it imports.
async fn describe(channel: &Channel, service: &str) -> DescriptorPool {
    let symbol = MessageRequest::FileContainingSymbol(service.to_owned());
    let mut found = files(channel, symbol).await;
    loop {
        let names: BTreeSet<&str> = found.iter().map(FileDescriptorProto::name).collect();
        let imports = found.iter().flat_map(|file| &file.dependency);
        let mut missing = imports.filter(|name| !names.contains(name.as_str()));
        let missing = missing.next().cloned();
        let Some(missing) = missing else { break };
        found.extend(files(channel, MessageRequest::FileByFilename(missing)).await);
    }
    let mut pool = DescriptorPool::new();
    pool.add_file_descriptor_protos(found).unwrap();
    pool
}

async fn call(
    channel: &Channel,
    pool: &DescriptorPool,
    method: &str,
    json: &[(&str, Value)],
) -> DynamicMessage {
    let service = pool
        .get_service_by_name("novaedge.v1.SnapshotDiscovery")
        .unwrap();
    let method = service
        .methods()
        .find(|found| found.name() == method)
        .unwrap();
    let mut request = DynamicMessage::new(method.input());
    for (field, value) in json {
        request.set_field_by_name(field, value.clone());
    }
    let path = format!("/{}/{}", service.full_name(), method.name());
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let codec = Dynamic(method.output());
    let answer = client.unary(tonic::Request::new(request), path.parse().unwrap(), codec);
    answer.await.unwrap().into_inner()
}

#[tokio::test]
async fn a_client_without_proto_files_reads_the_snapshot() {
    let running = start(ServerConfig::default()).await;
    running.publish(&[("route/HTTPRoute/a/b/0", 7)]);
    let certificates = vec![("certificate/a/b".to_owned(), certificate())];
    running.publisher.update(certificates, Vec::new());
    let channel = running.channel().await;
    let pool = describe(&channel, "novaedge.v1.SnapshotDiscovery").await;

    let prefix = [("name_prefix", Value::String("route/".into()))];
    let page = call(&channel, &pool, "FetchSnapshot", &prefix).await;
    let page = page.to_string();
    assert!(page.contains("7.example"), "{page}");
    assert!(!page.contains("certificate/a/b"), "{page}");
    let all = call(&channel, &pool, "FetchSnapshot", &[])
        .await
        .to_string();
    assert!(
        all.contains("certificate/a/b") && !all.contains("VERY-PRIVATE"),
        "{all}"
    );

    let agent = running.agent("agent-0").await;
    crate::harness::eventually("the agent is listed", async || {
        let list = call(&channel, &pool, "ListAgents", &[]).await.to_string();
        list.contains("agent-0")
    })
    .await;
    drop(agent);
    running.stop().await;
}
