'use strict';
// A page to talk to the model: streams the answer, folds its thinking, measures its speed. Texts reach the page as text, never as markup.
const element = id => document.getElementById(id);
const messages = [];
let running = null;

function headers() {
  const key = element('key').value.trim();
  return Object.assign({'Content-Type': 'application/json'}, key ? {Authorization: 'Bearer ' + key} : {});
}

function add(parent, tag, className, text) {
  const child = document.createElement(tag);
  if (className) child.className = className;
  if (text !== undefined) child.textContent = text;
  parent.appendChild(child);
  return child;
}

function scroll() {
  const conversation = element('conversation');
  conversation.scrollTop = conversation.scrollHeight;
}

async function failure(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return 'the server answered ' + response.status;
  }
}

async function greet() {
  try {
    const response = await fetch('v1/models', {headers: headers()});
    if (!response.ok) throw new Error(await failure(response));
    const model = (await response.json()).data[0];
    element('model').textContent = model.id;
    document.title = model.id;
    element('status').textContent = model.max_model_len.toLocaleString('en') + ' tokens of context';
    element('max-tokens').max = model.max_model_len;
    element('max-tokens').value = Math.min(1024, model.max_model_len);
  } catch (error) {
    element('status').textContent = error.message;
  }
}

// The events of a stream, as objects; ends after [DONE].
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    rest += value;
    const parts = rest.split('\n\n');
    rest = parts.pop();
    for (const part of parts) {
      if (!part.startsWith('data: ')) continue;
      if (part === 'data: [DONE]') return;
      yield JSON.parse(part.slice(6));
    }
  }
}

function request() {
  const body = {
    messages, stream: true, stream_options: {include_usage: true},
    temperature: Number(element('temperature').value), top_p: Number(element('top-p').value), max_tokens: Number(element('max-tokens').value),
  };
  if (element('seed').value !== '') body.seed = Number(element('seed').value);
  return body;
}

async function answer() {
  const article = add(element('conversation'), 'article', 'assistant');
  let thinking = null, thoughts = null, text = null, usage = null, first = null, cut = false;
  const message = {role: 'assistant', content: ''};
  const start = performance.now();
  running = new AbortController();
  element('send').hidden = true;
  element('stop').hidden = false;
  try {
    const response = await fetch('v1/chat/completions', {method: 'POST', headers: headers(), body: JSON.stringify(request()), signal: running.signal});
    if (!response.ok) throw new Error(await failure(response));
    for await (const event of events(response)) {
      if (event.error) throw new Error(event.error.message);
      if (event.usage) usage = event.usage;
      for (const choice of event.choices) {
        const {reasoning_content: thought, content} = choice.delta;
        if ((thought || content) && first === null) first = performance.now();
        if (thought) {
          if (!thinking) {
            thinking = add(article, 'details');
            add(thinking, 'summary', '', 'Thinking …');
            thoughts = add(thinking, 'p', 'text', '');
          }
          thoughts.textContent += thought;
          message.reasoning_content = (message.reasoning_content || '') + thought;
        }
        if (content) {
          if (thinking) thinking.firstChild.textContent = 'Thinking';
          if (!text) text = add(article, 'p', 'text', '');
          text.textContent += content;
          message.content += content;
        }
        if (choice.finish_reason === 'length') cut = true;
      }
      scroll();
    }
  } catch (error) {
    add(article, 'p', 'error', error.name === 'AbortError' ? 'Stopped.' : error.message);
  } finally {
    running = null;
    element('send').hidden = false;
    element('stop').hidden = true;
  }
  if (thinking) thinking.firstChild.textContent = 'Thinking';
  if (usage) {
    const seconds = (performance.now() - start) / 1000;
    const measure = [usage.completion_tokens + ' tokens', (usage.completion_tokens / seconds).toFixed(1) + ' tokens/s', 'first after ' + ((first === null ? seconds * 1000 : first - start) / 1000).toFixed(2) + ' s'];
    if (cut) measure.push('cut at the limit');
    add(article, 'p', 'measure', measure.join(' · '));
  }
  messages.push(message);
  scroll();
}

element('ask').addEventListener('submit', async event => {
  event.preventDefault();
  const question = element('question').value.trim();
  if (!question || running) return;
  element('question').value = '';
  messages.push({role: 'user', content: question});
  add(add(element('conversation'), 'article', 'user'), 'p', 'text', question);
  scroll();
  await answer();
  element('question').focus();
});
element('question').addEventListener('keydown', event => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  element('ask').requestSubmit();
});
element('stop').addEventListener('click', () => running && running.abort());
element('clear').addEventListener('click', () => {
  if (running) running.abort();
  messages.length = 0;
  element('conversation').replaceChildren();
  element('question').focus();
});
element('settings-toggle').addEventListener('click', event => {
  const hidden = element('settings').toggleAttribute('hidden');
  event.target.setAttribute('aria-expanded', String(!hidden));
});
element('settings').addEventListener('submit', event => event.preventDefault());
element('key').addEventListener('change', greet);
greet();
