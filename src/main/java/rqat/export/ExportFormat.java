package rqat.export;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/// What an export can become.
public enum ExportFormat {
    /// A Hugging Face checkpoint of dequantised weights: what every engine reads, and what all other formats are compared with.
    HF("hf"),
    /// One file for llama.cpp and what is built on it.
    GGUF("gguf"),
    /// The safetensors layout of AutoGPTQ and GPTQModel.
    GPTQ("gptq"),
    /// The safetensors layout of llm-compressor and vLLM.
    COMPRESSED_TENSORS("compressed-tensors"),
    /// The safetensors layout of AutoAWQ, always 4 bits.
    AWQ("awq"),
    /// The safetensors layout of MLX.
    MLX("mlx");

    private final String label;

    ExportFormat(String label) {
        this.label = label;
    }

    /// The name in commands, recipes and manifests.
    public String label() {
        return label;
    }

    /// The names of all formats.
    public static List<String> labels() {
        return Arrays.stream(values()).map(ExportFormat::label).toList();
    }

    /// The format of that name.
    public static Optional<ExportFormat> of(String label) {
        return Arrays.stream(values()).filter(format -> format.label.equals(label)).findFirst();
    }
}
