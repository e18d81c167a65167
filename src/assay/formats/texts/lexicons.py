"""Words of many languages for what hidden orders to a model are made of; `concepts` looks for their combinations.

A word that ends in `*` is a stem. Letters are folded (no accents, small) in scripts with words; of scripts without
blanks the parts of a sentence are given as they are written. Concepts: V to set aside, E what came earlier or from the
system, R rules and orders, N not and never, W without, T to tell, U the user, D this and nothing (what was done), S to
send away, K keys and what was said, Z to be in force, M no longer, B before, O tools, L to look into, C if, A to attempt or ask, Q speech about attacks,
H in secret, X to know or notice; of English also F to follow,
G to stop, P to put into, J what is never given away.
"""

# ruff: noqa: E501 - one language stands in one place
from __future__ import annotations

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "V": "ignore disregard forget override overrule bypass discard neglect dismiss abandon unlearn circumvent void nullify rescind invalidate suspend",
        "E": "previous prior above earlier preceding original initial past system developer given before foregoing beforehand",
        "R": "instruction* prompt* rule rules guideline* direction directions directive* guidance orders commands restriction* polic* told safeguard* messages",
        "N": "not never don dont mustn shouldn cannot avoid refrain no none nothing won nobody neither nor", "W": "without",
        "T": "tell telling inform informing mention mentioning notify notifying alert alerting disclose disclosing reveal revealing warn warning acknowledge report reporting admit explain bring",
        "U": "user users human humans person people operator customer customers reader owner", "D": "this these anything nothing it those",
        "S": "send forward upload transmit email mail exfiltrate leak post submit ship relay copy dump deliver report push bcc",
        "K": "password* credential* secret* token tokens conversation history transcript env environment dotenv passphrase* cookies dialogue chat keys key",
        "Z": "apply applies valid hold holds bind binding", "M": "longer anymore more",
        "B": "before prior", "O": "tool tools function functions server servers", "L": "read open cat load fetch access call invoke retrieve look include",
        "C": "if when whenever should", "A": "attempt* try tries trying ask asks asked asking request* instruct* claim* want* refuse* decline* reject* resist* tell tells",
        "Q": "attack* inject* jailbreak* malicious adversar* exploit* example* such like phrase* detect* classif* e.g", "H": "silently secretly covertly quietly discreetly stealthily invisibly unnoticed",
        "F": "follow following obey obeying heed heeding applying", "G": "stop cease quit", "P": "add attach include append embed put insert",
        "J": "password* credential* conversation secret* dotenv",
        "X": "knowing knowledge noticing awareness consent realizing realising noticed learn learns know knows notice aware",
    },
    "de": {
        "V": "ignorier* missacht* vergiss vergesst vergessen uberschreib* verwirf verwerfe* umgeh* hinweg",
        "E": "vorherig* bisherig* vorig* fruher* obig* vorangegangen* ursprunglich* vorstehend* zuvor system* anfanglich*",
        "R": "anweisung* instruktion* regel regeln vorgabe* befehl* prompt* richtlinie* weisung* systemprompt* anordnung*",
        "N": "nicht nie niemals kein keine keinesfalls nichts", "W": "ohne",
        "T": "sag* erzahl* verrat* bericht* teile mitteil* mitzuteilen meld* inform* erwahn* benachrichtig* offenbar* preisgeb* hinweis* wissen",
        "U": "nutzer* benutzer* anwender* kunde* kunden person mensch* bediener*", "D": "davon daruber dies dieses diesen das es nichts hiervon hieruber",
        "S": "sende* schick* ubermittl* weiterleit* leite hochlad* lade verschick* kopier* poste* ubertrag* exfiltrier* mail*",
        "K": "passwort* zugangsdaten geheimnis* schlussel* token tokens gesprach* unterhaltung* verlauf chat* umgebungsvariable* anmeldedaten konversation* api",
        "Z": "gelten gilt gultig", "M": "mehr",
        "B": "bevor vor ehe", "O": "werkzeug* tool tools funktion*", "L": "lies lese lesen offne* lade ruf* hol*",
        "C": "wenn falls sobald", "A": "versuch* bittet fragt verlangt aufforder* ablehn*", "Q": "angriff* injection* beispiel* bosartig* erkenn* etwa wie phrase*",
        "H": "heimlich stillschweigend unbemerkt verdeckt insgeheim", "X": "wissen kenntnis merken bemerkt erfahr* zustimmung",
    },
    "fr": {
        "V": "ignor* oubli* neglig* contourn* outrepass* fais abstraction mets ecarte* passe",
        "E": "precedent* anterieur* dessus systeme initial* prealable* avant donnees recu* originel* anterieurement", "R": "instruction* consigne* regle* directive* ordre* prompt* invite",
        "N": "ne n pas jamais rien ni evite* aucun*", "W": "sans insu",
        "T": "dis dites dire revel* inform* mentionn* preven* signal* parl* averti* avert* notifi* divulgu*", "U": "utilisat* usager* client* personne humain*", "D": "cela ceci ca rien en cette cet",
        "S": "envo* transmet* transfer* televers* exfiltr* expedi* poste* copi* fais", "K": "mot mots passe identifiant* secret* cle cles jeton* conversation* historique echange* api environnement",
        "Z": "appliqu* valable* valide*", "M": "plus",
        "B": "avant", "O": "outil* fonction*", "L": "lis lisez lire ouvr* appel* consult* charge*", "C": "si quand lorsque lorsqu",
        "A": "tent* essa* demand* refus* pri*", "Q": "attaque* injection* exemple* malveillant* detect* comme", "H": "discretement secretement silencieusement cachette", "X": "sache savoir apercoi* remarqu* consentement",
    },
    "es": {
        "V": "ignor* olvid* descart* omite* omit* anul* desobed* desestim* caso prescind* salt*", "E": "anterior* previ* arriba sistema inicial* original* precedent* recibid* dad*",
        "R": "instrucci* ordenes regla* indicaci* directri* prompt* norma* mandato*", "N": "no nunca jamas ni tampoco nada evit*", "W": "sin",
        "T": "dig* decir* cuent* inform* mencion* revel* avis* habl* notif* comuni* advert* comente*", "U": "usuari* cliente* persona human*", "D": "esto eso ello nada estas estos esta este",
        "S": "envi* mand* reenvi* sub* transmit* exfiltr* copi* publi* remit*", "K": "contrasen* credencial* secreto* clave* token* conversacion* historial* api entorno llave* chat*",
        "Z": "aplic* vigente* validas valen", "M": "ya mas",
        "B": "antes", "O": "herramienta* funcion*", "L": "lee lea leer abr* carg* llam* consult*", "C": "si cuando", "A": "intent* pid* pide solicit* trat* rechaz*",
        "Q": "ataque* inyecc* ejemplo* malicios* detect* como", "H": "secreto silenciosamente discretamente escondidas sigilosamente", "X": "sepa* enter* note notar* saber* consentimiento conocimiento",
    },
    "pt": {
        "V": "ignor* esque* desconsider* desrespeit* descart* anul* contorn* desobed*", "E": "anterior* previ* acima sistema inicia* origina* precedent* recebid* dad*",
        "R": "instruc* ordem ordens regra* diretriz* comando* prompt* orientac*", "N": "nao nunca jamais nem nada evit*", "W": "sem",
        "T": "dig* diga* dizer cont* inform* mencion* revel* avis* fal* notifi* comuni* alert*", "U": "usuari* utilizador* cliente* pessoa human*", "D": "isso isto nada disso disto esta este essa esse",
        "S": "envi* mand* encaminh* transmit* exfiltr* copi* publi* carreg* remet*", "K": "senha* credencia* segredo* chave* token* conversa* historico* api ambiente",
        "Z": "aplic* valem vigente* validas", "M": "ja mais",
        "B": "antes", "O": "ferramenta* func*", "L": "leia ler abra abr* carreg* cham* consult*", "C": "se quando caso", "A": "tent* ped* solicit* recus*",
        "Q": "ataque* injec* exemplo* malicios* detect* como", "H": "secretamente silenciosamente discretamente escondid*", "X": "saiba saber perceb* note notar consentimento conhecimento",
    },
    "it": {
        "V": "ignor* dimentic* trascur* scart* annull* aggir* disattend* prescind*", "E": "precedent* sopra sistema inizial* original* ricevut* prima dat*",
        "R": "istruzion* regol* ordini direttiv* prompt* indicazion* linee comand*", "N": "non mai niente nulla ne evita*", "W": "senza insaputa",
        "T": "dir dire dica dici inform* menzion* rivel* avvis* parl* notific* comunic* segnal*", "U": "utent* client* persona uman*", "D": "questo cio nulla niente questa queste lo ne",
        "S": "invi* mand* inoltr* trasmett* carica* esfiltr* copi* pubblic* sped*", "K": "password credenzial* segret* chiav* token conversazion* cronologi* api ambiente chat",
        "Z": "valgono applic* valid*", "M": "piu",
        "B": "prima", "O": "strument* funzion*", "L": "legg* apri* caric* chiam* consult*", "C": "se quando qualora", "A": "tent* cerca* chied* rifiut*",
        "Q": "attacc* iniezion* esempi* malevol* rilev* come", "H": "segretamente silenziosamente nascosto discretamente", "X": "sappia sapere saperlo accorg* noti consenso",
    },
    "nl": {
        "V": "negeer negeren vergeet vergeten omzeil* overschrijf* veronachtza* laat terzijde", "E": "vorig* eerder* voorgaand* bovenstaand* oorspronkelijk* systeem* gegeven",
        "R": "instructie* regel* opdracht* aanwijzing* richtlijn* prompt* systeemprompt* bevel*", "N": "niet nooit niets geen", "W": "zonder",
        "T": "vertel* zeg* meld* inform* vermeld* noem* onthul* waarschuw* mede laat weten", "U": "gebruiker* klant* persoon mens*", "D": "dit dat het niets hierover hiervan daarover",
        "S": "stuur* verzend* verstuur* upload* kopieer* mail* exfiltreer* geef", "K": "wachtwoord* inloggegevens geheim* sleutel* token* gesprek* geschiedenis api omgevingsvariabel* chat*",
        "Z": "gelden geldt geldig", "M": "meer langer",
        "B": "voordat voor alvorens", "O": "tool tools hulpmiddel* functie* gereedschap*", "L": "lees lezen open haal laad roep", "C": "als wanneer indien", "A": "probeer* pog* vraag* vraagt weiger*",
        "Q": "aanval* injectie* voorbeeld* kwaadaardig* detect* zoals", "H": "stiekem heimelijk stilletjes ongemerkt", "X": "weten medeweten merk* toestemming",
    },
    "pl": {
        "V": "zignoruj* ignoruj* zapomnij* pomin* pomijaj* odrzuc* obejdz* zlekcewaz*", "E": "poprzedni* wczesniejsz* powyzsz* systemow* pierwotn* dotychczasow* otrzyman*",
        "R": "instrukcj* polece* zasad* regul* wytyczn* prompt* rozkaz*", "N": "nie nigdy nic ani", "W": "bez",
        "T": "mow* powie* inform* wspomin* ujawni* powiad* poinform* zdradz*", "U": "uzytkowni* klient* osob*", "D": "tym tego to nic niczego ta temu",
        "S": "wysl* wysyl* przesl* przekaz* przeslij* skopiuj* udostepn* zaladuj*", "K": "hasl* poswiadcz* sekret* klucz* token* rozmow* histori* api srodowisk*", "Z": "obowiaz* wazn*", "M": "juz",
        "B": "zanim przed", "O": "narzedzi* funkcj*",
        "L": "przeczyt* odczyt* otworz* wczyt* wywol*", "C": "jesli gdy jezeli", "A": "prob* prosi* zada* odmow*", "Q": "atak* przyklad* zlosliw* wykry* takie", "H": "potajemnie cicho dyskretnie skrycie", "X": "wiedz* zauwaz* zgod* dowie*",
    },
    "cs": {
        "V": "ignoruj* zapomen* nedbej* obejdi* prehlizej*", "E": "predchozi* predesl* drivejsi* vyse* systemov* puvodni*", "R": "pokyn* instrukc* pravid* prikaz* prompt*", "N": "ne nikdy nic nerikej* neinformuj* nezminuj* nesdeluj*",
        "W": "bez", "T": "rik* nerik* inform* neinform* zmin* nezmin* sdel* nesdel*", "U": "uzivatel* zakazni*", "D": "tom to nic tim toto", "S": "posl* odesl* odeslat nahraj* preposl* zkopiruj*", "K": "hesl* udaj* tajem* klic* token* konverzac* histori* api",
        "Z": "plati", "M": "uz jiz",
        "B": "nez pred", "O": "nastroj* funkc*", "L": "precti* otevri* nacti*", "C": "pokud kdyz", "A": "pokus* zada* pozada*", "Q": "utok* priklad* skodliv*", "H": "tajne potaji nenapadne", "X": "vedom* vsiml*",
    },
    "ru": {
        "V": "игнориру* проигнориру* забуд* пренебре* отбрось* обойди* отмени* обращай*", "E": "предыдущ* прежн* вышеуказанн* ранее выше системн* исходн* первоначальн* данн*",
        "R": "инструкц* указани* правил* команд* промпт* распоряж* подсказк*", "N": "не никогда ничего ни нельзя", "W": "без втайне незаметно",
        "T": "говори* сообща* рассказыв* упомина* раскрыв* уведомля* информиру* предупрежд* скаж* сообщ* уведом* ведома", "U": "пользовател* клиент* человек*", "D": "этом это об ничего этого эту",
        "S": "отправ* перешл* пошл* загруз* передай* передав* выгруз* скопиру* пересыл*", "K": "парол* ключ* секрет* токен* учетн* переписк* истори* диалог* разговор* окружени*", "Z": "действу* применя*", "M": "больше уже",
        "B": "прежде перед до", "O": "инструмент* функци*",
        "L": "прочит* прочт* откро* загруз* вызов*", "C": "если когда", "A": "попыт* пыта* прос* требу* отказ*", "Q": "атак* инъекц* пример* вредонос* например", "H": "тайно незаметно скрытно тихо", "X": "ведома знал* заметил* узна* согласия",
    },
    "uk": {
        "V": "ігнору* проігнору* забуд* знехту* відкинь* обійди*", "E": "попередн* раніш* вищ* системн* початков*", "R": "інструкці* вказівк* правил* команд* промпт* наказ*", "N": "не ніколи нічого", "W": "без таємно непомітно",
        "T": "кажи* кажіть* повідом* розповід* згаду* розкрив* інформ*", "U": "користувач* клієнт*", "D": "це цього нічого цьому", "S": "надішл* відправ* перешл* завантаж* передай*", "K": "парол* ключ* секрет* токен* розмов* історі* облікові",
        "Z": "діють застосов*", "M": "більше вже",
        "B": "перш перед", "O": "інструмент* функці*", "L": "прочита* відкри* викли*", "C": "якщо коли", "A": "спроб* прос* вимага*", "Q": "атак* приклад* шкідлив* ін'єкц*", "H": "таємно непомітно приховано", "X": "відома знав* помітив*",
    },
    "tr": {
        "V": "gormezden yok unut unutun unutunuz aldirma* gecersiz* almayin alma uyma uymayin", "E": "onceki yukaridaki sistem* ilk orijinal verilen", "R": "talimat* yonerge* kural* komut* istem* emir* yonlendirme*", "N": "soyleme* bildirme* bahsetme* asla haber",
        "W": "haberi haberdar olmadan", "T": "soyleme* bildirme* bahsetme* acıklama* verme* olmadan", "U": "kullanici* musteri*", "D": "bunu bundan bu hicbir sey", "S": "gonder* ilet* yukle* kopyala* aktar*",
        "K": "parola* sifre* anahtar* gizli* jeton* sohbet* gecmis* konusma* api", "Z": "gecerli uygulan*", "M": "artik",
        "B": "once", "O": "arac* fonksiyon* islev*", "L": "oku* ac* cagir*", "C": "eger", "A": "dene* iste* calis*", "Q": "saldiri* ornek* kotu*", "H": "gizlice sessizce", "X": "haberi fark",
    },
    "id": {
        "V": "abaikan lupakan acuhkan kesampingkan langgar", "E": "sebelumnya atas sistem awal terdahulu", "R": "instruksi perintah aturan petunjuk prompt arahan", "N": "jangan tidak tanpa", "W": "tanpa",
        "T": "beri tahu beritahu* katakan sebutkan ungkapkan kabar* memberi* sepengetahuan", "U": "pengguna pelanggan", "D": "ini itu apa apapun", "S": "kirim* unggah* teruskan salin*", "K": "kata sandi kredensial rahasia kunci token percakapan riwayat api",
        "Z": "berlaku", "M": "lagi",
        "B": "sebelum", "O": "alat fungsi tool", "L": "baca* buka panggil", "C": "jika bila", "A": "mencoba meminta", "Q": "serangan contoh berbahaya", "H": "diam rahasia", "X": "sepengetahuan tahu",
    },
    "vi": {
        "V": "bo quen pho lo", "E": "truoc tren he thong", "R": "dan lenh quy tac thi", "N": "khong đung dung", "W": "khong", "T": "noi bao tiet", "U": "nguoi", "D": "nay gi đieu", "S": "gui chuyen tai", "K": "mat khoa trinh lich",
        "B": "truoc", "O": "cong", "L": "đoc mo", "C": "neu khi", "A": "yeu co", "Q": "tan vi", "H": "tham len", "X": "biet",
    },
    "sv": {
        "V": "ignorera* glom strunta bortse asidosatt* kringga", "E": "tidigare foregaende ovanstaende system* ursprunglig*", "R": "instruktion* regler* regel* anvisning* prompt* riktlinj* order", "N": "inte aldrig inget ej", "W": "utan",
        "T": "beratta* sag* saga namn* avsloj* informera* meddela* varna*", "U": "anvandar* kund*", "D": "detta det inget om", "S": "skicka* vidarebefordra* ladda kopiera* mejla*", "K": "losenord* hemlig* nyckel* nycklar* token* konversation* historik* api",
        "Z": "galler", "M": "langre",
        "B": "innan fore", "O": "verktyg* funktion*", "L": "las oppna* hamta*", "C": "om nar", "A": "forsok* ber", "Q": "attack* exempel* skadlig*", "H": "hemligt tyst obemarkt smyg*", "X": "vetskap marker vet",
    },
    "ar": {
        "V": "تجاهل تجاهلي تجاهلوا انس أهمل تخط تجاوز", "E": "السابقة السابق أعلاه النظام الأصلية الأولية", "R": "التعليمات تعليمات الأوامر القواعد التوجيهات الإرشادات", "N": "لا لن ألا", "W": "دون بدون",
        "T": "تخبر تخبري تقل تذكر تعلم إخبار إعلام علم إبلاغ تبلغ", "U": "المستخدم للمستخدم مستخدم المستخدمين العميل", "D": "هذا ذلك شيئا بذلك بهذا عن", "S": "أرسل ارسل حمل ارفع انقل أرسلي", "K": "كلمات كلمة المرور المفاتيح مفاتيح المفتاح الأسرار المحادثة السجل بيانات",
        "Z": "سارية صالحة تنطبق", "M": "تعد يعد",
        "B": "قبل", "O": "أداة الأدوات أدوات", "L": "اقرأ افتح", "C": "إذا عندما", "A": "محاولة يطلب طلب", "Q": "هجوم هجمات مثال", "H": "سرا خفية", "X": "علم معرفة",
    },
    "he": {
        "V": "התעלם התעלמי התעלמו שכח תשכח עקוף", "E": "הקודמות הקודמים לעיל המערכת המקוריות", "R": "ההוראות הוראות הכללים ההנחיות הנחיות הפקודות", "N": "אל לא אין", "W": "בלי ללא מבלי",
        "T": "תספר תגלה תאמר תודיע תזכיר לספר לידיעת ידיעת להודיע", "U": "למשתמש המשתמש משתמש ללקוח", "D": "זה זאת כך דבר", "S": "שלח העלה העבר שלחי", "K": "הסיסמאות סיסמאות המפתחות מפתחות הסודות השיחה", "Z": "תקפים תקפות", "M": "עוד יותר",
        "B": "לפני", "O": "כלי כלים", "L": "קרא פתח",
        "C": "אם כאשר", "A": "מנסה ניסיון מבקש", "Q": "התקפה דוגמה", "H": "בסתר בחשאי", "X": "ידיעת יודע",
    },
    "ko": {
        "V": "무시* 잊* 무효* 우회*", "E": "이전* 앞선* 위의 기존* 시스템* 원래* 앞의*", "R": "지시* 명령* 지침* 프롬프트* 규칙*", "N": "안 못 마* 말고* 말라* 말아* 않* 않고*", "W": "몰래 모르게",
        "T": "알리지* 말하지* 언급하지* 밝히지* 알려주지* 모르게* 전하지*", "U": "사용자* 유저* 고객*", "D": "이것* 이를 이 아무것* 그것* 사실*", "S": "보내* 전송* 업로드* 전달* 복사*", "K": "비밀번호* 자격* 비밀* 키* 토큰* 대화* 기록* 암호*",
        "Z": "적용* 유효*", "M": "더는 더 이상",
        "B": "전에 먼저", "O": "도구* 함수*", "L": "읽* 열*", "C": "만약", "A": "시도* 요청*", "Q": "공격* 예* 악성*", "H": "몰래 은밀*", "X": "모르게* 알면 알게 알지 알아서는",
    },
}  # fmt: skip

# Of scripts without blanks (and Hindi, whose vowel signs are no letters of words): parts of sentences.
PARTS: dict[str, dict[str, str]] = {
    "zh": {
        "V": "忽略|无视|無視|不要理会|不予理会|忘记|忘掉|忘記|覆盖|抛开|丢弃|不再遵守|不要遵守|作废|绕过|拋開", "E": "之前|以前|先前|以上|上述|上面|前面|原有|系统|系統|此前|先前|最初|收到的", "R": "指令|指示|提示词|提示|命令|规则|規則|准则|要求|约束",
        "N": "不要|不需|不应|不会|不得|切勿|请勿|別|别|无需|無需|禁止|绝不|不能|不可|不必|勿", "W": "在不|未|瞒着|瞞著|背着|不让", "T": "告诉|告訴|告知|通知|提醒|透露|提及|提起|说明|披露|知道|知晓|发现|察觉", "U": "用户|用戶|使用者|对方|客户",
        "D": "这|此|該|该|任何|什么", "S": "发送|發送|上传|上傳|转发|轉發|发给|寄到|传送|提交到", "K": "密码|密碼|密钥|凭据|凭证|秘密|令牌|对话|對話|聊天记录|历史|环境变量|金鑰", "Z": "适用|有效|生效", "M": "再", "B": "之前|前，|先", "O": "工具|函数", "L": "读取|讀取|打开|查看|读一下",
        "C": "如果|若|当", "A": "试图|尝试|要求你|请求|企图", "Q": "攻击|攻擊|注入|例如|恶意|检测", "H": "悄悄|秘密地|暗中|偷偷", "X": "知情|知道|察觉",
    },
    "ja": {
        "V": "無視(?!し?な|するな|せず)|忘れ(?!な|ず)|破棄(?!し?な|するな|せず)|従わな|無効|上書き|取り消", "E": "これまで|以前|上記|前の|先の|システム|最初の|元の|先ほど|与えられた", "R": "指示|命令|プロンプト|ルール|規則|ガイドライン|制約",
        "N": "ない|ず|ません|るな|てはいけ|てはなら|ぬ|せずに|なく", "W": "気づかれ|内緒|知られず|無断", "T": "知らせ|伝え|言わ|教え|告げ|明かさ|話さ|報告|言及", "U": "ユーザー|ユーザ|利用者|使用者|顧客", "D": "この|これ|それ|何も|こと|一切|ように",
        "S": "送信|送って|送れ|転送|アップロード|送り", "K": "パスワード|認証情報|秘密鍵|シークレット|トークン|会話|履歴|APIキー|環境変数|鍵", "Z": "適用|有効", "M": "以降|もう|今後|もはや", "B": "前に|まず", "O": "ツール|関数", "L": "読み|読んで|開いて|取得", "C": "もし|場合", "A": "試み|しようと|求め|要求",
        "Q": "攻撃|例えば|悪意|検出|インジェクション", "H": "こっそり|密かに|ひそかに|黙って", "X": "気づか|知られ",
    },
    "hi": {
        "V": "अनदेखा|नज़रअंदाज़|नजरअंदाज|भूल|उपेक्षा|अनदेखी|रद्द", "E": "पिछले|पिछली|पहले|ऊपर|सिस्टम|मूल|पूर्व", "R": "निर्देश|आदेश|नियम|प्रॉम्प्ट", "N": "न |मत|नहीं|कभी नहीं", "W": "बिना|बगैर", "T": "बता|कह|सूचित|जानकारी|ज़िक्र|जिक्र", "U": "उपयोगकर्ता|यूज़र|यूजर|ग्राहक",
        "D": "यह|इस|कुछ|ये", "S": "भेज|अपलोड|फॉरवर्ड|साझा", "K": "पासवर्ड|कुंजी|गुप्त|टोकन|बातचीत|इतिहास|क्रेडेंशियल|चैट", "Z": "लागू", "M": "अब", "B": "पहले", "O": "टूल|उपकरण|फ़ंक्शन", "L": "पढ़|खोल", "C": "यदि|अगर", "A": "कोशिश|प्रयास|अनुरोध", "Q": "हमल|उदाहरण|दुर्भावना", "H": "चुपके|गुप्त रूप", "X": "जानकारी|पता",
    },
    "th": {
        "V": "เพิกเฉย|ละเว้น|ลืม|ไม่ต้องสนใจ|มองข้าม|อย่าสนใจ", "E": "ก่อนหน้า|ข้างต้น|ระบบ|เดิม|ด้านบน", "R": "คำสั่ง|คำแนะนำ|กฎ|ข้อกำหนด|พรอมต์", "N": "อย่า|ห้าม|ไม่ต้อง", "W": "โดยไม่", "T": "บอก|แจ้ง|กล่าวถึง|เปิดเผย|รู้", "U": "ผู้ใช้|ลูกค้า", "D": "นี้|เรื่องนี้|สิ่งนี้|ใดๆ|อะไร",
        "S": "ส่ง|อัปโหลด", "K": "รหัสผ่าน|กุญแจ|ความลับ|โทเคน|บทสนทนา|ประวัติ|คีย์", "Z": "มีผล|ใช้บังคับ", "M": "อีกต่อไป", "B": "ก่อน", "O": "เครื่องมือ", "L": "อ่าน|เปิด", "C": "ถ้า|หาก|เมื่อ", "A": "พยายาม|ขอให้", "Q": "โจมตี|ตัวอย่าง", "H": "แอบ|ลับๆ", "X": "รู้",
    },
}  # fmt: skip
