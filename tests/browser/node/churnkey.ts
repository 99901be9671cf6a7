// How a page's own program may use window.churnkey; what is marked must not compile.
window.churnkey.event({
  customerId: "cus_1",
  customerEmail: "jane@example.com",
  appId: "app_1",
  authHash: "00",
  event: "Post Created",
  eventData: { postType: "image" },
});
window.churnkey.event({ appId: "app_1", event: "Post Created", customerEmail: "jane@example.com" });
window.churnkey.init("show");

// @ts-expect-error an app is needed
window.churnkey.event({ event: "Post Created", customerId: "cus_1" });
