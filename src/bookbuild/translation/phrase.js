// The words that scripts write. A message may have {names} of values. In an edition in another language words.js has
// what is said in place of each message.
globalThis.phrase = (message, values = {}) =>
  (phrase.words?.[message] ?? message).replace(/\{(\w+)\}/g, (_, name) => values[name]);
