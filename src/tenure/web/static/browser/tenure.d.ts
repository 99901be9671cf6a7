/** Types of window.tenure (tenure.js) and window.churnkey.event (churnkey.js). */

interface TenureOptions {
  /** A publishable key. Secret (`sk_…`) and read keys (`rk_…`) are refused. */
  key: string;
  /** Where Tenure is; by default where the script came from. */
  baseUrl?: string;
}

interface TenureIdentity {
  /** Lowercase hex HMAC-SHA256 of customerId (without one: of the user id) under a secret key, made on your server. */
  authHash?: string;
  /** The customer id that you track by. */
  customerId?: string | number;
  email?: string;
}

interface Tenure {
  /** Give the key and, where the script was not loaded from Tenure, the base URL. Not needed with `data-key`. */
  init(options: TenureOptions): void;
  /** Something happened. */
  track(event: string, properties?: object): void;
  /** Who the visitor is, from now on and on later pages. */
  identify(uid: string | number, traits?: object, identity?: TenureIdentity): void;
  /** A page was seen: `page_viewed` with host, path, title and referrer, without query strings. */
  page(name?: string, properties?: object): void;
  /** Forget the visitor: at logout. */
  reset(): void;
  /** Send what waits now; resolves to the number of events that wait still. Before the script is loaded: nothing. */
  flush(): Promise<number>;
  /** Store and send nothing from now on; what waits is dropped. Remembered. */
  optOut(): void;
  /** Take optOut back. */
  optIn(): void;
  /** Events that this page gave up: refused, too large, or too many. */
  readonly dropped: number;
}

interface ChurnkeyEvent {
  appId: string;
  event: string;
  /** This, or one of the next three. */
  customerId?: string;
  customerEmail?: string;
  /** What is signed for customers of Paddle. */
  subscriptionId?: string;
  uid?: string;
  /** Lowercase hex HMAC-SHA256 of customerId (with Paddle: of subscriptionId; without either: of uid or customerEmail)
   * under a secret key of the app. */
  authHash?: string;
  eventData?: object;
}

interface Churnkey {
  event(event: ChurnkeyEvent): void;
  /** Whatever else the vendor's own script puts there. */
  [member: string]: any;
}

interface Window {
  tenure: Tenure;
  churnkey: Churnkey;
}

declare var tenure: Tenure;
