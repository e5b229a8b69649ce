// What happens on an open page: new comments and new stories appear. Without it, it is a page.

const { locale, article, category } = document.body.dataset;

// Pictures that cannot be had leave no hole.
for (const picture of [...document.images]) {
  const leave = () => (picture.closest("figure") ?? picture).remove();
  if (picture.complete && !picture.naturalWidth) leave();
  else picture.addEventListener("error", leave);
}

// Follows a subscription operation from the event that its list was read after, and goes on after
// the last one whenever it broke off. Hidden pages do not listen: browsers allow six streams to a
// site, whatever the number of tabs.
function follow(list, query, variables, take) {
  let stream, again, over;
  const stop = () => {
    clearTimeout(again);
    stream?.close();
  };
  const listen = () => {
    const asked = new URLSearchParams({ query, variables: JSON.stringify({ ...variables, after: list.dataset.after }) });
    stream = new EventSource(`/graphql/stream?${asked}`);
    stream.addEventListener("next", (event) => {
      const { data, errors } = JSON.parse(event.data);
      if (errors) {
        // The story was taken back, or too much was missed to be told event by event.
        over = errors[0].extensions?.code === "NOT_FOUND";
        if (!over) catchUp();
        return;
      }
      const [told] = Object.values(data);
      list.dataset.after = told.eventId;
      take(told);
    });
    const broke = () => {
      stop();
      again = setTimeout(look, 2000 + 3000 * Math.random());
    };
    stream.addEventListener("complete", broke);
    stream.addEventListener("error", broke);
  };
  const look = () => {
    stop();
    if (!document.hidden && !over) listen();
  };
  document.addEventListener("visibilitychange", look);
  look();
}

// What was missed for too long: the same page, read again.
async function catchUp() {
  const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
  for (const { id, children, dataset } of page.querySelectorAll("#stories, #comments, [id^=replies-]")) {
    const missed = [...children].filter((item) => !document.getElementById(item.id));
    const list = document.getElementById(id);
    if (!list) continue;
    add(list, ...missed);
    Object.assign(list.dataset, dataset);
  }
  count(page.getElementById("count")?.textContent);
}
let hiddenAt;
document.addEventListener("visibilitychange", () => {
  if (document.hidden) hiddenAt = Date.now();
  else if (Date.now() - hiddenAt > 5000) catchUp();
});

const fresh = (id) => document.importNode(document.getElementById(id).content.firstElementChild, true);

// Comments and stories come newest first; replies are a conversation.
function add(list, ...items) {
  for (const item of items) item.classList.add("new");
  if (list.id.startsWith("replies-")) list.append(...items);
  else list.prepend(...items);
  if (list.id === "comments" && items.length) document.getElementById("no-comments")?.remove();
}

function count(number) {
  const shown = document.getElementById("count");
  if (shown && number !== undefined) shown.textContent = number;
}

function commentArrived({ comment: { id, authorName, body, createdAt, parent, article } }) {
  count(article?.commentCount);
  if (document.getElementById(`item-${id}`)) return;
  const list = document.getElementById(parent ? `replies-${parent.id}` : "comments");
  if (!list) return;
  const item = fresh("new-comment");
  item.id = `item-${id}`;
  item.querySelector("article").id = `comment-${id}`;
  item.querySelector("h3").textContent = authorName;
  item.querySelector(".text").textContent = body;
  item.querySelector("time").dateTime = createdAt;
  item.querySelector(".reply").search = `?${new URLSearchParams({ reply: id })}`;
  item.querySelector(".thread").id = `replies-${id}`;
  add(list, item);
}

function storyArrived({ article: { id, headline, slug, breaking, publishedAt, category } }) {
  const list = document.getElementById("stories");
  if (!list || id === article || document.getElementById(`item-${id}`)) return;
  const item = fresh("new-story");
  item.id = `item-${id}`;
  const link = item.querySelector(".headline a");
  link.href = `/${locale}/${encodeURIComponent(slug)}`;
  link.textContent = headline;
  item.querySelector(".flag").hidden = !breaking;
  item.querySelector(".label").textContent = category.name;
  item.querySelector("time").dateTime = publishedAt;
  add(list, item);
}

const STORIES = `subscription ArticlePublished($locale: String!, $category: ID, $after: ID) {
  articlePublished(locale: $locale, category: $category, after: $after) {
    eventId
    article { id headline slug breaking publishedAt category { name } }
  }
}`;
const COMMENTS = `subscription CommentCreated($article: ID!, $after: ID) {
  commentCreated(article: $article, after: $after) {
    eventId
    comment { id authorName body createdAt parent { id } article { commentCount } }
  }
}`;
const stories = document.getElementById("stories");
if (stories?.dataset.after) follow(stories, STORIES, { locale, category }, storyArrived);
if (article) follow(document.getElementById("comments"), COMMENTS, { article }, commentArrived);
