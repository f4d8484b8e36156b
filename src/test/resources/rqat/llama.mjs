// Asks llama.cpp through node-llama-cpp: `node llama.mjs FOLDER_OF_NODE_LLAMA_CPP MODEL.gguf REQUEST.json ANSWER.json`.
// REQUEST: {"texts": [...], "prompts": [...], "tokens": n}; ANSWER: {"ids": [[...], ...], "completions": [[...], ...]}, both as token ids; greedy.
import {readFileSync, writeFileSync} from "node:fs";
import {pathToFileURL} from "node:url";

const [folder, file, requestFile, answerFile] = process.argv.slice(2);
const {getLlama} = await import(pathToFileURL(folder + "/dist/index.js"));
const request = JSON.parse(readFileSync(requestFile, "utf8"));
const llama = await getLlama({gpu: false, build: "never", progressLogs: false, maxThreads: 1});
const model = await llama.loadModel({modelPath: file});
const ids = request.texts.map((text) => Array.from(model.tokenize(text, true)));
const context = await model.createContext({contextSize: 512, threads: 1});
const sequence = context.getSequence();
const completions = [];
for (const prompt of request.prompts) {
    await sequence.clearHistory();
    const tokens = [];
    for await (const token of sequence.evaluate(model.tokenize(prompt, true), {temperature: 0})) {
        if (model.isEogToken(token)) break;
        tokens.push(token);
        if (tokens.length === request.tokens) break;
    }
    completions.push(tokens);
}
writeFileSync(answerFile, JSON.stringify({ids, completions}));
process.exit(0);
