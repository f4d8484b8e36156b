package rqat.api;

import rqat.export.ExportFormat;

/// What a model leaves as, see `docs/export.md`.
public enum Format {
    /// Dequantised weights in the layout of Hugging Face.
    HF(ExportFormat.HF),
    /// One file for llama.cpp.
    GGUF(ExportFormat.GGUF),
    /// The layout of AutoGPTQ and GPTQModel.
    GPTQ(ExportFormat.GPTQ),
    /// The layout of llm-compressor and vLLM.
    COMPRESSED_TENSORS(ExportFormat.COMPRESSED_TENSORS),
    /// The layout of AutoAWQ.
    AWQ(ExportFormat.AWQ),
    /// The layout of MLX.
    MLX(ExportFormat.MLX);

    final ExportFormat format;

    Format(ExportFormat format) {
        this.format = format;
    }
}
