//! The codec of the step stream: writes messages from resources that are encoded already.

use novaedge_proto::v1;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, EncodeBuf, Encoder},
};
use tonic_prost::ProstDecoder;

use crate::step::StepMessage;

/// Sends [`StepMessage`]s, which look like `v1::SnapshotStep` on the wire; receives
/// `v1::AgentMessage`s.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StepCodec;

/// Encodes [`StepMessage`]s.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StepEncoder;

impl Codec for StepCodec {
    type Encode = StepMessage;
    type Decode = v1::AgentMessage;
    type Encoder = StepEncoder;
    type Decoder = ProstDecoder<v1::AgentMessage>;

    fn encoder(&mut self) -> Self::Encoder {
        StepEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::default())
    }
}

impl Encoder for StepEncoder {
    type Item = StepMessage;
    type Error = Status;

    fn encode(&mut self, item: StepMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(item.encoded_len());
        item.encode(buffer);
        Ok(())
    }
}
