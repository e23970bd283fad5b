// A match in a title comes before all other results.
Scorer.score = ([, , , , score, , kind]) => (kind === "title" ? score + 100 : score);
// To show a result's words, the search reads its page. The sheet in the page is not for this one, and its policy says so.
const { htmlToText } = Search;
Search.htmlToText = (html, anchor) => htmlToText(html.replace(/<style>[^]*?<\/style>/g, ""), anchor);
